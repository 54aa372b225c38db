//! A form as browsers send it (RFC 7578), and the policy that says what it may hold.

use super::error::{denied, invalid_argument};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;
use serde_json::Value;
use wire::{ApiError, HttpRequest};

pub struct Form {
    /// In order, by names in lower case; the file is none of them.
    pub fields: Vec<(String, String)>,
    pub file: Vec<u8>,
    pub file_name: String,
}

/// AWS's limit on a form without its file, in bytes.
const MAX_FIELDS: usize = 20_000;

impl Form {
    pub fn parse(request: &HttpRequest) -> Result<Self, ApiError> {
        let malformed = || {
            ApiError::client(
                "MalformedPOSTRequest",
                "The body of your POST request is not well-formed multipart/form-data.",
            )
        };
        let kind = request.header("content-type").unwrap_or_default();
        let boundary = boundary(kind).ok_or_else(|| {
            ApiError::new(
                412,
                "PreconditionFailed",
                "At least one of the pre-conditions you specified did not hold",
            )
            .with_detail(
                "Condition",
                "Bucket POST must be of the enclosure-type multipart/form-data",
            )
        })?;
        let mut form = Self {
            fields: Vec::new(),
            file: Vec::new(),
            file_name: String::new(),
        };
        let mut rest = request.body.as_slice();
        let first = format!("--{boundary}");
        let between = format!("\r\n--{boundary}");
        rest = after(rest, first.as_bytes()).ok_or_else(malformed)?;
        let mut size = 0;
        loop {
            if rest.starts_with(b"--") {
                break;
            }
            let part = rest.strip_prefix(b"\r\n").ok_or_else(malformed)?;
            let end = find(part, between.as_bytes()).ok_or_else(malformed)?;
            let (part, tail) = (&part[..end], &part[end + between.len()..]);
            let split = find(part, b"\r\n\r\n").ok_or_else(malformed)?;
            let head = std::str::from_utf8(&part[..split]).map_err(|_| malformed())?;
            let content = &part[split + 4..];
            let (name, file_name) = disposition(head).ok_or_else(malformed)?;
            rest = tail;
            if name.eq_ignore_ascii_case("file") {
                form.file = content.to_vec();
                // Browsers of old sent the whole path.
                let name = file_name.unwrap_or_default();
                form.file_name = name
                    .rsplit(['/', '\\'])
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                // What comes after the file is ignored.
                return Ok(form);
            }
            size += content.len();
            if size > MAX_FIELDS {
                return Err(ApiError::client(
                    "MaxPostPreDataLengthExceeded",
                    "Your POST request fields preceding the upload file were too large.",
                ));
            }
            let value = std::str::from_utf8(content).map_err(|_| malformed())?;
            form.fields.push((name.to_lowercase(), value.to_owned()));
        }
        Err(invalid_argument(
            "POST requires exactly one file upload per request.",
        ))
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter().filter(|(n, _)| n == name);
        fields.next().map(|(_, value)| value.as_str())
    }
}

fn boundary(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').map(str::trim);
    if !parameters
        .next()?
        .eq_ignore_ascii_case("multipart/form-data")
    {
        return None;
    }
    let boundary = parameters.find_map(|p| p.strip_prefix("boundary="))?;
    let boundary = boundary.trim_matches('"');
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn after<'a>(text: &'a [u8], what: &[u8]) -> Option<&'a [u8]> {
    find(text, what).map(|at| &text[at + what.len()..])
}

/// Name and file name of a part.
fn disposition(head: &str) -> Option<(String, Option<String>)> {
    let line = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let parameter = |wanted: &str| {
        let mark = format!("{wanted}=\"");
        // ` name=` and not the end of ` filename=`.
        let at = line
            .match_indices(&mark)
            .map(|(at, _)| at)
            .find(|at| line[..*at].ends_with([' ', ';']))?;
        let rest = &line[at + mark.len()..];
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    Some((parameter("name")?, parameter("filename")))
}

/// Until when, and under which conditions.
pub struct Policy {
    expiration: Timestamp,
    conditions: Vec<Condition>,
}

enum Condition {
    Equal(String, String),
    StartsWith(String, String),
    Length(u64, u64),
}

fn broken(why: &str) -> ApiError {
    ApiError::client("InvalidPolicyDocument", format!("Invalid Policy: {why}"))
}

impl Policy {
    pub fn decode(text: &str) -> Result<Self, ApiError> {
        let bytes = STANDARD.decode(text.trim());
        let bytes = bytes.map_err(|_| broken("Invalid Base64."))?;
        let policy: Value = serde_json::from_slice(&bytes).map_err(|_| broken("Invalid JSON."))?;
        let expiration = policy.get("expiration").and_then(Value::as_str);
        let expiration = expiration
            .ok_or_else(|| broken("Policy missing expiration."))?
            .parse()
            .map_err(|_| broken("Invalid 'expiration' value."))?;
        let conditions = policy.get("conditions").and_then(Value::as_array);
        let conditions = conditions.ok_or_else(|| broken("Policy missing conditions."))?;
        let conditions = conditions.iter().map(Condition::read);
        Ok(Self {
            expiration,
            conditions: conditions.collect::<Result<_, _>>()?,
        })
    }

    pub fn check(&self, form: &Form, bucket: &str, now: Timestamp) -> Result<(), ApiError> {
        if now > self.expiration {
            return Err(denied("Invalid according to Policy: Policy expired."));
        }
        let value = |name: &str| match name {
            "bucket" => Some(bucket),
            _ => form.field(name),
        };
        for condition in &self.conditions {
            let holds = match condition {
                Condition::Equal(name, wanted) => value(name) == Some(wanted.as_str()),
                Condition::StartsWith(name, wanted) => {
                    value(name).is_some_and(|v| v.starts_with(wanted.as_str()))
                }
                Condition::Length(least, most) => {
                    check_length(form.file.len() as u64, *least, *most)?;
                    true
                }
            };
            if !holds {
                return Err(denied(&format!(
                    "Invalid according to Policy: Policy Condition failed: {}",
                    condition.text()
                )));
            }
        }
        let unsaid = form.fields.iter().find(|(name, _)| !self.speaks_of(name));
        match unsaid {
            Some((name, _)) => Err(denied(&format!(
                "Invalid according to Policy: Extra input fields: {name}"
            ))),
            None => Ok(()),
        }
    }

    /// A form holds nothing that its policy does not mention, but for what signs it.
    fn speaks_of(&self, field: &str) -> bool {
        matches!(
            field,
            "policy" | "signature" | "awsaccesskeyid" | "x-amz-signature" | "file"
        ) || field.starts_with("x-ignore-")
            || self.conditions.iter().any(|condition| match condition {
                Condition::Equal(name, _) | Condition::StartsWith(name, _) => name == field,
                Condition::Length(..) => false,
            })
    }
}

fn check_length(size: u64, least: u64, most: u64) -> Result<(), ApiError> {
    let (code, message, limit) = if size < least {
        (
            "EntityTooSmall",
            "Your proposed upload is smaller than the minimum allowed size",
            ("MinSizeAllowed", least),
        )
    } else if size > most {
        (
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            ("MaxSizeAllowed", most),
        )
    } else {
        return Ok(());
    };
    Err(ApiError::client(code, message)
        .with_detail("ProposedSize", size.to_string())
        .with_detail(limit.0, limit.1.to_string()))
}

impl Condition {
    fn read(value: &Value) -> Result<Self, ApiError> {
        let invalid = || broken("Invalid Condition.");
        if let Value::Object(one) = value {
            let mut members = one.iter();
            let (Some((name, value)), None) = (members.next(), members.next()) else {
                return Err(broken(
                    "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
                ));
            };
            let value = value.as_str().ok_or_else(invalid)?;
            return Ok(Self::Equal(name.to_lowercase(), value.to_owned()));
        }
        let [operator, left, right] = value.as_array().map_or(&[][..], Vec::as_slice) else {
            return Err(invalid());
        };
        let operator = operator.as_str().unwrap_or_default().to_lowercase();
        if operator == "content-length-range" {
            let number = |v: &Value| {
                let text = v.as_str().and_then(|t| t.parse().ok());
                v.as_u64().or(text)
            };
            let range = number(left).zip(number(right));
            return range.map(|(a, b)| Self::Length(a, b)).ok_or_else(invalid);
        }
        let name = left.as_str().and_then(|name| name.strip_prefix('$'));
        let (Some(name), Some(value)) = (name, right.as_str()) else {
            return Err(invalid());
        };
        let (name, value) = (name.to_lowercase(), value.to_owned());
        match operator.as_str() {
            "eq" => Ok(Self::Equal(name, value)),
            "starts-with" => Ok(Self::StartsWith(name, value)),
            _ => Err(invalid()),
        }
    }

    /// As AWS shows it.
    fn text(&self) -> String {
        match self {
            Self::Equal(name, value) => format!("[\"eq\", \"${name}\", \"{value}\"]"),
            Self::StartsWith(name, value) => {
                format!("[\"starts-with\", \"${name}\", \"{value}\"]")
            }
            Self::Length(a, b) => format!("[\"content-length-range\", {a}, {b}]"),
        }
    }
}
