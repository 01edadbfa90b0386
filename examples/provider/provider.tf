terraform {
  required_version = ">= 1.11"

  required_providers {
    runnel = {
      source  = "runnel/runnel"
      version = "~> 0.1"
    }
  }
}

provider "runnel" {
  endpoint   = "http://127.0.0.1:8083"
  token_file = pathexpand("~/.local/state/runnel/root.token")
}
