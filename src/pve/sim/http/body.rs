//! Reading parameters from queries, forms and JSON, the way the API daemon does.
use http::Method;
use serde_json::Value;

use super::Request;
use crate::pve::sim::contract::Parameters;

/// A request that is refused before its parameters are known: status and reason.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pve::sim) struct BodyError {
    pub(in crate::pve::sim) status: u16,
    pub(in crate::pve::sim) reason: String,
}

const LARGEST_FORM: usize = 512 * 1024;
const DAEMON: &str = "/usr/share/perl5/PVE/APIServer/AnyEvent.pm";

/// Query and body parameters are one set; the path's own names are added by the caller.
pub(in crate::pve::sim) fn read_parameters(request: &Request) -> Result<Parameters, BodyError> {
    let mut parameters = form(request.uri.query().unwrap_or_default());
    if request.body.is_empty() {
        return Ok(parameters);
    }
    if request.method == Method::DELETE || request.method == Method::GET {
        let reason = format!("Unexpected content for method '{}'", request.method);
        return Err(BodyError { status: 501, reason });
    }
    let content_type = content_type(request);
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    match kind {
        "application/json" => parameters.merge(json(&request.body)?),
        "" | "application/x-www-form-urlencoded" if request.body.len() > LARGEST_FORM => {
            return Err(BodyError { status: 501, reason: "for data too large".to_owned() });
        }
        "" | "application/x-www-form-urlencoded" => {
            parameters.merge(form(&String::from_utf8_lossy(&request.body)));
        }
        "multipart/form-data" => parameters.merge(multipart_fields(&content_type, &request.body)),
        other => {
            let reason = format!("upload 'Content-Type '{other}' not implemented");
            return Err(BodyError { status: 506, reason });
        }
    }
    Ok(parameters)
}

fn content_type(request: &Request) -> String {
    let value = request.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn form(text: &str) -> Parameters {
    let mut parameters = Parameters::default();
    for pair in text.split(['&', ';']).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.add(&decode_form(name), decode_form(value));
    }
    parameters
}

fn json(body: &[u8]) -> Result<Parameters, BodyError> {
    let text = String::from_utf8_lossy(body);
    let value: Value = serde_json::from_str(&text).map_err(|_| broken_json(&text))?;
    let Value::Object(fields) = value else {
        let reason = format!("Not a HASH reference at {DAEMON} line 978.");
        return Err(BodyError { status: 500, reason });
    };
    let mut parameters = Parameters::default();
    for (name, value) in &fields {
        parameters.add_json(name, value);
    }
    Ok(parameters)
}

/// The words are those of Perl's JSON parser for a text that ends too early; other faults differ in the remainder.
fn broken_json(text: &str) -> BodyError {
    let reason = format!(
        "malformed JSON string, neither tag, array, object, number, string or atom, at character offset {} (before \"(end of string)\") at {DAEMON} line 934.",
        text.chars().count()
    );
    BodyError { status: 500, reason }
}

/// The plain fields of an upload; of a file only its name and size become parameters.
pub(in crate::pve::sim) fn multipart_fields(content_type: &str, body: &[u8]) -> Parameters {
    let mut parameters = Parameters::default();
    let Some(boundary) = content_type.split("boundary=").nth(1) else {
        return parameters;
    };
    let boundary = boundary.trim().trim_matches('"');
    let text = String::from_utf8_lossy(body);
    for part in text.split(&format!("--{boundary}")) {
        let Some((head, content)) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n")) else {
            continue;
        };
        let Some(name) = quoted(head, "name=") else {
            continue;
        };
        let content = content.strip_suffix("\r\n").or_else(|| content.strip_suffix('\n')).unwrap_or(content);
        match quoted(head, "filename=") {
            Some(file) => {
                parameters.add(name, file.to_owned());
                parameters.upload_size = Some(content.len() as u64);
            }
            None => parameters.add(name, content.to_owned()),
        }
    }
    parameters
}

fn quoted<'a>(head: &'a str, marker: &str) -> Option<&'a str> {
    let position = head.match_indices(marker).map(|(at, _)| at).find(|at| !head[..*at].ends_with("file"))?;
    head[position + marker.len()..].strip_prefix('"')?.split('"').next()
}

fn decode_form(text: &str) -> String {
    decode_percent(&text.replace('+', " "))
}

/// Undoes percent encoding; what is not a valid escape stays as it is.
pub(in crate::pve::sim) fn decode_percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        match escape_at(text, position) {
            Some(byte) => {
                decoded.push(byte);
                position += 3;
            }
            None => {
                decoded.push(bytes[position]);
                position += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn escape_at(text: &str, position: usize) -> Option<u8> {
    let digits = text.get(position..)?.strip_prefix('%')?.get(..2)?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::sim::contract::Given;

    fn request(method: Method, content_type: &str, body: &str) -> Request {
        let mut headers = http::HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert("content-type", content_type.parse().unwrap());
        }
        Request {
            method,
            uri: "/api2/json/pools?poolid=q".parse().unwrap(),
            headers,
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn query_and_body_are_one_set() {
        let read = read_parameters(&request(Method::POST, "", "comment=a+b%21")).unwrap();
        assert_eq!(read.text("poolid"), Some("q"));
        assert_eq!(read.text("comment"), Some("a b!"));
    }

    #[test]
    fn a_body_on_delete_is_refused() {
        let refusal = read_parameters(&request(Method::DELETE, "", "poolid=x")).unwrap_err();
        assert_eq!(
            refusal,
            BodyError { status: 501, reason: "Unexpected content for method 'DELETE'".into() }
        );
    }

    #[test]
    fn unknown_content_types_are_refused() {
        let refusal = read_parameters(&request(Method::POST, "text/plain", "poolid=x")).unwrap_err();
        assert_eq!(refusal.status, 506);
        assert_eq!(refusal.reason, "upload 'Content-Type 'text/plain' not implemented");
    }

    #[test]
    fn json_lists_keep_their_shape() {
        let read =
            read_parameters(&request(Method::POST, "application/json", r#"{"command":["a","b"]}"#)).unwrap();
        assert_eq!(read.get("command"), Some(&Given::List(vec!["a".into(), "b".into()])));
    }

    #[test]
    fn an_upload_names_its_file() {
        let body = "--X\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n--X\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"up.iso\"\r\n\r\nHELLO\r\n--X--";
        let read = read_parameters(&request(Method::POST, "multipart/form-data; boundary=X", body)).unwrap();
        assert_eq!(read.text("content"), Some("iso"));
        assert_eq!(read.text("filename"), Some("up.iso"));
    }
}
