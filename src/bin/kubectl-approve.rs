use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    proxmox_agent::cli::kubectl_approve::KubectlApprove::from_command_line().run().await
}
