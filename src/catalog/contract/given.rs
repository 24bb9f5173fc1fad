/// The value of one parameter. Proxmox sees every scalar as text; only lists and objects keep their shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    Text(String),
    List(Vec<String>),
    Object,
}
