terraform {
  required_version = ">= 1.11"

  required_providers {
    runnel = {
      source  = "runnel/runnel"
      version = "~> 0.1"
    }
  }
}
