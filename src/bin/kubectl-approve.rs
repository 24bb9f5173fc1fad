use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    proxmox_agent::cli::kubectl_approve::KubectlApprove::parse().run().await
}
