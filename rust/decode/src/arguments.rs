//! The arguments of a tool call, checked against the tool's JSON schema, for the model to read.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

/// More faults than these are not told: a model that reads them all learns nothing more.
const FAULTS_MAX: usize = 100;

/// A message is not longer.
const MESSAGE_CHARS_MAX: usize = 500;

/// A value is quoted if its JSON is not longer.
const QUOTED_CHARS_MAX: usize = 80;

/// So many forms of an `anyOf` are explained.
const FORMS_MAX: usize = 4;

/// What is wrong, and where: a JSON pointer (RFC 6901), "" for the whole.
pub type Fault = (String, String);

/// The schema is not one: nothing can be checked with it.
#[derive(Debug)]
pub struct BrokenSchema(String);

impl fmt::Display for BrokenSchema {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

/// Schemas that were compiled before, by their bytes. The least recently used is dropped.
pub struct Schemas {
    schemas_max: usize,
    uses: u64,
    compiled: HashMap<Vec<u8>, (u64, Arc<Validator>)>,
}

impl Schemas {
    /// A cache of at most *schemas_max*.
    pub fn new(schemas_max: usize) -> Self {
        Schemas {
            schemas_max,
            uses: 0,
            compiled: HashMap::new(),
        }
    }

    /// Returns the compiled *schema*; cheap if it was asked for before.
    ///
    /// Without `$schema` it is read as draft 2020-12. References lead into the schema itself only.
    ///
    /// # Errors
    ///
    /// [`BrokenSchema`]: it is not JSON, not a schema, or refers to something else.
    pub fn get(&mut self, schema: &[u8]) -> Result<Arc<Validator>, BrokenSchema> {
        self.uses += 1;
        if let Some((used, known)) = self.compiled.get_mut(schema) {
            *used = self.uses;
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(compile(schema)?);
        if self.compiled.len() >= self.schemas_max {
            let oldest = self.compiled.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(schema, _)| schema.clone()) {
                self.compiled.remove(&oldest);
            }
        }
        let entry = (self.uses, Arc::clone(&new));
        self.compiled.insert(schema.to_vec(), entry);
        Ok(new)
    }
}

fn compile(schema: &[u8]) -> Result<Validator, BrokenSchema> {
    let broken = |why: String| BrokenSchema(format!("the schema is broken: {}", shorten(&why)));
    let mut schema: Value =
        serde_json::from_slice(schema).map_err(|error| broken(error.to_string()))?;
    match jsonschema::validator_for(&schema) {
        Ok(validator) => Ok(validator),
        Err(error) => {
            // A dialect of somebody's own, which may be read like the newest all the same.
            let named = schema.as_object_mut().and_then(|it| it.remove("$schema"));
            let again = named.and_then(|_| jsonschema::validator_for(&schema).ok());
            again.ok_or_else(|| broken(error.to_string()))
        }
    }
}

/// Returns all faults of *arguments*; none if they may be used. Arguments are always an object.
pub fn check(schema: &Validator, arguments: &[u8]) -> Vec<Fault> {
    let arguments: Value = match serde_json::from_slice(arguments) {
        Ok(value) => value,
        Err(error) => return vec![(String::new(), format!("not JSON: {error}"))],
    };
    if !arguments.is_object() {
        return vec![(
            String::new(),
            "the arguments are not a JSON object".to_owned(),
        )];
    }
    let errors = schema.iter_errors(&arguments).take(FAULTS_MAX);
    let mut faults: Vec<Fault> = errors
        .map(|error| (error.instance_path().to_string(), shorten(&worded(&error))))
        .collect();
    // The order of a schema's keywords is nobody's business: the same faults read the same.
    faults.sort();
    faults
}

fn worded(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let forms = context.iter().filter_map(|errors| errors.first());
            let told: Vec<String> = forms.take(FORMS_MAX).map(|it| inner(error, it)).collect();
            format!("fits none of its forms: {}", told.join("; or "))
        }
        _ => plain(error),
    }
}

/// Why one form does not fit, with its place if that is deeper than the whole's.
fn inner(whole: &ValidationError<'_>, error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let below = place.strip_prefix(whole.instance_path().as_str());
    match below.unwrap_or("") {
        "" => plain(error),
        below => format!("{below}: {}", plain(error)),
    }
}

fn plain(error: &ValidationError<'_>) -> String {
    match error.instance().to_string().chars().count() > QUOTED_CHARS_MAX {
        true => error.masked_with("the value").to_string(),
        false => error.to_string(),
    }
}

fn shorten(message: &str) -> String {
    if message.chars().count() <= MESSAGE_CHARS_MAX {
        return message.to_owned();
    }
    let told: String = message.chars().take(MESSAGE_CHARS_MAX - 1).collect();
    told + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(schema: &Value, arguments: &Value) -> Vec<String> {
        let mut schemas = Schemas::new(2);
        let schema = schemas
            .get(schema.to_string().as_bytes())
            .expect("a schema");
        check(&schema, arguments.to_string().as_bytes())
            .into_iter()
            .map(|(path, message)| format!("{path} {message}"))
            .collect()
    }

    #[test]
    fn all_faults_are_told_with_their_places() {
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["a", "c"],
            "properties": {"c": true, "a": {"type": "integer", "minimum": 3}, "b": {"enum": ["x", "y"]}, "s": {"$ref": "#/$defs/short"},
                "o": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"n": {"type": "number"}}}]}},
            "$defs": {"short": {"type": "string", "maxLength": 2}}});
        let arguments = json!({"a": 1, "b": "z", "d": 1, "s": "x".repeat(99), "o": {"n": "1"}});
        let found = faults(&schema, &arguments);
        let expected = [
            " \"c\" is a required property",
            " Additional properties are not allowed ('d' was unexpected)",
            "/a 1 is less than the minimum of 3",
            "/b \"z\" is not one of \"x\" or \"y\"",
            "/o fits none of its forms: {\"n\":\"1\"} is not of type \"null\"; or /n: \"1\" is not of type \"number\"",
            "/s the value is longer than 2 characters",
        ];
        assert_eq!(found, expected);
        assert!(faults(&schema, &json!({"a": 3, "c": null})).is_empty());
    }

    #[test]
    fn arguments_are_an_object_whatever_the_schema_says() {
        assert_eq!(
            faults(&json!({}), &json!([])),
            [" the arguments are not a JSON object"]
        );
        assert!(faults(&json!({}), &json!({"any": 1})).is_empty());
        let schema = Schemas::new(1).get(b"{}").expect("a schema");
        assert!(check(&schema, b"{\"a\":")[0].1.starts_with("not JSON: "));
    }

    #[test]
    fn a_broken_schema_is_an_error_and_an_unknown_dialect_is_not() {
        let mut schemas = Schemas::new(2);
        let schemas: Vec<bool> = [
            &br#"{"type": "strange"}"#[..],
            br#"{"$ref": "https://example.com/x.json"}"#,
            br#"{"$ref": "file:///etc/hostname"}"#,
            br#"{"properties": {"a": {"pattern": "("}}}"#,
            b"{",
            br#"{"$schema": "https://example.com/dialect", "type": "object"}"#,
            br##"{"properties": {"self": {"$ref": "#"}}}"##,
        ]
        .into_iter()
        .map(|schema| schemas.get(schema).is_ok())
        .collect();
        assert_eq!(schemas, [false, false, false, false, false, true, true]);
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut schemas = Schemas::new(2);
        for text in ["{}", "true", "{}", "{ }", "{}"] {
            schemas.get(text.as_bytes()).expect("a schema");
        }
        let mut known: Vec<&[u8]> = schemas.compiled.keys().map(Vec::as_slice).collect();
        known.sort();
        assert_eq!(known, [&b"{ }"[..], b"{}"]);
    }
}
