use super::Property;

/// A parameter, or a part of one, that the contract does not allow.
#[derive(Debug, Clone)]
pub struct Refused<'a> {
    /// The name of the parameter, or that of the part within the parameter.
    pub name: String,
    /// What it may be, if it is known at all; of a list, what its items may be.
    pub property: Option<&'a Property>,
    /// What was given, as far as it was text.
    pub given: Option<String>,
    pub fault: Fault<'a>,
}

/// Why it is not allowed.
#[derive(Debug, Clone)]
pub enum Fault<'a> {
    Unknown,
    Missing,
    /// Another parameter that was given needs it.
    NeededBy(String),
    List,
    Object,
    Type,
    /// The item, of a list or alone, does not have the form of that name.
    Format {
        format: &'a str,
        item: String,
    },
    /// These parts of a property string are not allowed.
    Parts(Vec<Refused<'a>>),
    PartTwice(String),
    PartWithoutName,
    /// `bridge=`, or `=vmbr0`.
    PartWithoutNameOrValue,
    Pattern,
    TooLong(usize),
    TooShort(usize),
    TooBig(f64),
    TooSmall(f64),
    NotInEnumeration(&'a [String]),
}
