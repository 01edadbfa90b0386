//! Function `properties_decode`.

use runnel_api::properties;
use tfplugin::value::{Type, Value};
use tfplugin::{Function, FunctionError, Parameter, Signature};

/// The function.
#[derive(Debug)]
pub struct PropertiesDecode;

impl Function for PropertiesDecode {
    fn signature(&self) -> Signature {
        Signature::new(
            "properties_decode",
            "Reads Java properties text into a map",
            Type::map(Type::String),
        )
        .describe(
            "Reads text as `java.util.Properties` does, with comments, continued lines and escapes, and gives a map of \
             strings. Of a key that stands twice the last one counts. With it a connector's configuration can be taken \
             from a `.properties` file.",
        )
        .parameter(Parameter::new(
            "text",
            Type::String,
            "Java properties text, such as `file(\"connector.properties\")` gives it.",
        ))
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let text = arguments
            .first()
            .and_then(Value::as_str)
            .unwrap_or_default();
        match properties::parse(text) {
            Ok(properties) => Ok(Value::map(properties)),
            Err(error) => Err(FunctionError::at(0, format!("{error}."))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_a_map_and_errors_name_the_argument() {
        let call = |text: &str| PropertiesDecode.call(&[Value::from(text)]);
        assert_eq!(
            call("a = 1\n# no\nb: 2"),
            Ok(Value::map([("a", "1"), ("b", "2")]))
        );
        assert_eq!(
            call("")
                .unwrap()
                .fields()
                .map(std::collections::BTreeMap::len),
            Some(0)
        );
        assert_eq!(call("a=\\u12").unwrap_err().argument, Some(0));
    }
}
