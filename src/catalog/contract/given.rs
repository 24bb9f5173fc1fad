/// The value of one parameter. Proxmox sees every scalar as text; only lists and objects keep their shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    Text(String),
    List(Vec<String>),
    Object,
}

/// Lists are written with commas, semicolons or blanks between the items.
pub fn split_list(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', ' ', '\t', '\n', '\0']).filter(|item| !item.is_empty())
}
