//! One CEL expression: whether it can be asked at all, before any plan depends on it.
//!
//! This CEL takes a field of a text for `false` and notices an unknown function only where it gets there. A rule that
//! silently never applies is worse than one that is refused, so names are looked up when it is compiled.

use std::sync::LazyLock;

use kube::core::cel::{
    KubeCelExt,
    cel::{
        Context, ExecutionError, Program, Value,
        common::ast::{
            CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators,
        },
        parser::ParseErrors,
    },
};
use serde_json::Value as Json;

use super::{facts::BLANK, room::unless_it_breaks};

/// So many dots, brackets and operators: each is a step deeper into the stack.
const MOST_JOINTS: usize = 512;
/// Loops inside each other: two over the longest lists take a moment, three would take minutes.
const MOST_LOOPS: usize = 2;
/// They make a list or a text of any length out of next to nothing, all the more on what another one has made.
const NOT_OFFERED: [&str; 7] =
    ["lists.range", "replace", "join", "format", "strings.quote", "base64.encode", "jsonpatch.escapeKey"];

/// A condition that was compiled.
#[derive(Debug)]
pub(super) struct Condition {
    pub program: Program,
    /// Its answer depends on the risk.
    pub asks_for_risk: bool,
}

/// Says why not, with the place where it can be told.
pub(super) fn compile(text: &str) -> Result<Condition, String> {
    let joints = text.chars().filter(|c| ".[({+-*/%=<>!?".contains(*c)).count();
    if joints > MOST_JOINTS {
        return Err(format!(
            "has {joints} dots, brackets and operators, and {MOST_JOINTS} are allowed: make several rules of it"
        ));
    }
    let compiled = unless_it_breaks(|| Program::compile(text));
    let program = match compiled {
        Some(Ok(program)) => program,
        Some(Err(errors)) => return Err(first(&errors)),
        None => return Err("is nested too deeply".to_owned()),
    };
    let mut reader = Reader { scope: vec![], loops: 0, functions: Context::default().with_all() };
    if reader.kind(program.expression())?.is_no_condition() {
        return Err("is no condition: it has to be true or false".to_owned());
    }
    let asks_for_risk = ["risk", "riskLevel"].iter().any(|name| program.references().has_variable(name));
    Ok(Condition { program, asks_for_risk })
}

fn first(errors: &ParseErrors) -> String {
    errors.errors.first().map_or_else(
        || "can't be read".to_owned(),
        |error| {
            let message: String = error.msg.chars().take(160).collect();
            format!("line {}, column {}: {message}", error.pos.0, error.pos.1)
        },
    )
}

/// What is known of an expression before it is asked.
#[derive(Clone, Copy)]
enum Kind<'a> {
    /// It is like this.
    Like(&'a Json),
    /// A text, a number, a list: nothing that holds or does not.
    NoCondition,
    Unknown,
}

impl Kind<'_> {
    fn is_no_condition(self) -> bool {
        match self {
            Self::Like(json) => !json.is_boolean(),
            Self::NoCondition => true,
            Self::Unknown => false,
        }
    }
}

/// Walks through an expression, knowing what its names stand for.
struct Reader<'a> {
    scope: Vec<(String, Kind<'a>)>,
    loops: usize,
    functions: Context<'static>,
}

static ROOTS: LazyLock<Vec<&'static String>> =
    LazyLock::new(|| BLANK.as_object().into_iter().flat_map(|fields| fields.keys()).collect());

impl<'a> Reader<'a> {
    fn kind(&mut self, expression: &IdedExpr) -> Result<Kind<'a>, String> {
        match &expression.expr {
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.field(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Literal(LiteralValue::Boolean(_)) => Ok(Kind::Unknown),
            Expr::Literal(_) => Ok(Kind::NoCondition),
            Expr::List(list) => {
                list.elements.iter().try_for_each(|element| self.kind(element).map(|_| ()))?;
                Ok(Kind::NoCondition)
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.kind(&entry.key)?;
                        self.kind(&entry.value)?;
                    }
                }
                Ok(Kind::NoCondition)
            }
            Expr::Struct(made) => {
                Err(format!("`{}{{}}`: there are no messages to be made here", made.type_name))
            }
            Expr::Unspecified => Err("is empty".to_owned()),
        }
    }

    fn known(&self, name: &str) -> Option<Kind<'a>> {
        let local = self.scope.iter().rev().find(|(known, _)| known == name).map(|(_, kind)| *kind);
        local.or_else(|| BLANK.get(name).map(Kind::Like))
    }

    fn name(&self, name: &str) -> Result<Kind<'a>, String> {
        self.known(name).ok_or_else(|| {
            let known: Vec<&str> = ROOTS.iter().map(|name| name.as_str()).collect();
            format!("there is no `{name}`; there are {}", known.join(", "))
        })
    }

    fn field(&mut self, select: &SelectExpr) -> Result<Kind<'a>, String> {
        let Kind::Like(json) = self.kind(&select.operand)? else { return Ok(Kind::Unknown) };
        field_of(json, &told(&select.operand), &select.field)
    }

    fn call(&mut self, call: &CallExpr) -> Result<Kind<'a>, String> {
        let is_operator = !call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !is_operator {
            self.function(call)?;
        }
        let prefix = call.target.as_ref().filter(|target| self.is_prefix(target));
        if let (Some(target), None) = (&call.target, prefix) {
            self.kind(target)?;
        }
        let kinds = call.args.iter().map(|arg| self.kind(arg)).collect::<Result<Vec<_>, _>>()?;
        Ok(match (call.func_name.as_str(), kinds.as_slice()) {
            (operators::INDEX, [Kind::Like(json), _]) => element(json, &call.args)?,
            (operators::CONDITIONAL, [_, one, other]) if one.is_no_condition() && other.is_no_condition() => {
                Kind::NoCondition
            }
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO
                | operators::NEGATE,
                _,
            ) => Kind::NoCondition,
            _ => Kind::Unknown,
        })
    }

    /// The first half of a function's name, such as `sets` of `sets.contains`.
    fn is_prefix(&self, target: &IdedExpr) -> bool {
        matches!(&target.expr, Expr::Ident(name) if self.known(name).is_none())
    }

    /// Asks for the function without anything for it to work on: an unknown one is told apart.
    fn function(&self, call: &CallExpr) -> Result<(), String> {
        let prefix = call.target.clone().filter(|target| self.is_prefix(target));
        let name = prefix
            .as_ref()
            .map_or_else(|| call.func_name.clone(), |prefix| format!("{}.{}", told(prefix), call.func_name));
        if NOT_OFFERED.contains(&name.as_str()) {
            return Err(format!("the function `{name}` is not offered"));
        }
        let bare = CallExpr { func_name: call.func_name.clone(), target: prefix, args: vec![] };
        let bare = IdedExpr { id: 0, expr: Expr::Call(bare) };
        let asked = unless_it_breaks(|| Value::resolve(&bare, &self.functions));
        match asked {
            Some(Err(ExecutionError::UndeclaredReference(_))) => {
                Err(format!("there is no function `{name}`"))
            }
            _ => Ok(()),
        }
    }

    fn comprehension(&mut self, of: &ComprehensionExpr) -> Result<Kind<'a>, String> {
        let over = match self.kind(&of.iter_range)? {
            Kind::Like(Json::Array(items)) => items.first().map_or(Kind::Unknown, Kind::Like),
            _ => Kind::Unknown,
        };
        self.loops += 1;
        if self.loops > MOST_LOOPS {
            return Err(format!("has more than {MOST_LOOPS} loops inside each other"));
        }
        let outside = self.scope.len();
        self.scope.push((of.accu_var.clone(), Kind::Unknown));
        let made = self.kind(&of.accu_init)?;
        self.scope.push((of.iter_var.clone(), over));
        self.scope.extend(of.iter_var2.clone().map(|name| (name, Kind::Unknown)));
        for part in [&of.loop_cond, &of.loop_step, &of.result] {
            self.kind(part)?;
        }
        self.scope.truncate(outside);
        self.loops -= 1;
        Ok(if made.is_no_condition() { Kind::NoCondition } else { Kind::Unknown })
    }
}

/// An object without fields is one whose keys nobody knows beforehand.
fn field_of<'a>(json: &'a Json, of: &str, name: &str) -> Result<Kind<'a>, String> {
    match json {
        Json::Object(fields) if fields.is_empty() => Ok(Kind::Unknown),
        Json::Object(fields) => fields.get(name).map(Kind::Like).ok_or_else(|| {
            let known: Vec<&str> = fields.keys().map(String::as_str).collect();
            format!("`{of}` has no field `{name}`; it has {}", known.join(", "))
        }),
        _ => Err(format!("`{of}` has no fields, so no `{name}`")),
    }
}

fn element<'a>(json: &'a Json, args: &[IdedExpr]) -> Result<Kind<'a>, String> {
    match (json, args) {
        (Json::Array(items), _) => Ok(items.first().map_or(Kind::Unknown, Kind::Like)),
        (Json::Object(_), [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(key)), .. }]) => {
            field_of(json, &told(of), key.inner())
        }
        _ => Ok(Kind::Unknown),
    }
}

/// A name with its fields, as it was written.
fn told(expression: &IdedExpr) -> String {
    match &expression.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => format!("{}.{}", told(&select.operand), select.field),
        Expr::Call(call) if call.func_name == operators::INDEX => {
            call.args.first().map_or_else(|| "it".to_owned(), |of| format!("{}[...]", told(of)))
        }
        _ => "it".to_owned(),
    }
}
