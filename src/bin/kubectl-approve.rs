use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    proxmox_agent::cli::kubectl_approve::main().await
}
