terraform {
  # Write-only arguments and ephemeral variables.
  required_version = ">= 1.11"

  required_providers {
    runnel = {
      source  = "runnel/runnel"
      version = "~> 0.1"
    }
  }
}

# Unset, they come from RUNNEL_ENDPOINT and RUNNEL_TOKEN.
provider "runnel" {
  endpoint   = var.runnel_endpoint
  token_file = var.runnel_token_file
}
