//! The template as it is deployed, with the names that the cluster has: what a function's role says, and what a bucket's
//! policy.
//!
//! The short tags become the long form (`!Ref X` is `{"Ref": "X"}`), and what stands there is resolved. What is not known
//! here is no guess, but a panic.

use std::{collections::BTreeMap, path::PathBuf};

use headwater_tool::cluster::{ARCHIVE, CREDIT_LIMITS, FAILURES, STORE, STREAM};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Map, Value};

use super::policy::Statement;

/// The names of the template's buckets and streams in the cluster.
const NAMES: [(&str, &str); 5] = [
    ("Store", STORE),
    ("Archive", ARCHIVE),
    ("Failures", FAILURES),
    ("Stream", STREAM),
    ("Forward", CREDIT_LIMITS),
];

/// The template.
pub(crate) struct Template(Value);

impl Template {
    pub(crate) fn read() -> Self {
        let file = root().join("infra/headwater.yaml");
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut documents = Yaml::load_from_str(&text).expect("YAML");
        assert_eq!(documents.len(), 1);
        Self(json(&documents.remove(0)))
    }

    /// What each role allows, by the binary of its function.
    pub(crate) fn roles(&self) -> BTreeMap<String, Vec<Statement>> {
        let functions = object(&self.0["Mappings"]["Functions"]);
        let mut roles = BTreeMap::new();
        for (name, role) in self.resources("AWS::IAM::Role") {
            let function = name.strip_suffix("Role").and_then(|name| functions.get(name));
            let binary = function.unwrap_or_else(|| panic!("{name} is the role of no function"));
            let properties = object(&role["Properties"]);
            let known = ["AssumeRolePolicyDocument", "Policies"];
            let unknown = properties.keys().find(|property| !known.contains(&property.as_str()));
            assert_eq!(unknown, None, "{name} allows what is not looked at");
            let policies = list(&role["Properties"]["Policies"]);
            let statements =
                policies.into_iter().flat_map(|policy| self.statements(&policy["PolicyDocument"]));
            roles.insert(self.text(&binary["Binary"]), statements.collect());
        }
        assert_eq!(roles.len(), functions.len(), "every function has a role of its own");
        roles
    }

    /// The binaries whose functions read the stream, and whether what their mapping gives up on is kept.
    pub(crate) fn mappings(&self) -> BTreeMap<String, bool> {
        let mappings = self.resources("AWS::Lambda::EventSourceMapping").map(|(_, mapping)| {
            let properties = &mapping["Properties"];
            (self.binary(properties), !properties["DestinationConfig"].is_null())
        });
        mappings.collect()
    }

    /// The patterns of each mapping's filter, by the binary of its function; none where everything is let through.
    pub(crate) fn filters(&self) -> BTreeMap<String, Vec<Value>> {
        let mappings = self.resources("AWS::Lambda::EventSourceMapping").map(|(_, mapping)| {
            let properties = &mapping["Properties"];
            let patterns = list(&properties["FilterCriteria"]["Filters"]).into_iter().map(|filter| {
                let pattern = filter["Pattern"].as_str().expect("a pattern");
                serde_json::from_str(pattern).expect("a pattern is JSON")
            });
            (self.binary(properties), patterns.collect())
        });
        mappings.collect()
    }

    /// The binary of a mapping's function.
    fn binary(&self, properties: &Value) -> String {
        let function = properties["FunctionName"]["Ref"].as_str().expect("a reference");
        let name = function.strip_suffix("Function").expect("a function");
        self.text(&self.0["Mappings"]["Functions"][name]["Binary"])
    }

    /// What the buckets' policies say.
    pub(crate) fn bucket_policies(&self) -> Vec<Statement> {
        let policies = self.resources("AWS::S3::BucketPolicy");
        policies.flat_map(|(_, policy)| self.statements(&policy["Properties"]["PolicyDocument"])).collect()
    }

    fn resources<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        object(&self.0["Resources"]).iter().filter(move |(_, resource)| resource["Type"] == kind)
    }

    fn statements(&self, document: &Value) -> Vec<Statement> {
        list(&document["Statement"])
            .into_iter()
            .map(|statement| Statement::parse(statement, &|value| self.text(value)))
            .collect()
    }

    /// The text that a value makes.
    fn text(&self, value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Object(function) => match function.iter().next() {
                Some((name, Value::String(of))) if name == "Ref" => Self::reference(of),
                Some((name, Value::String(of))) if name == "Fn::GetAtt" => {
                    let (of, attribute) = of.split_once('.').expect("an attribute");
                    self.attribute(of, attribute)
                }
                Some((name, Value::String(text))) if name == "Fn::Sub" => self.substituted(text),
                _ => panic!("{value} is not known here"),
            },
            _ => panic!("{value} is no text"),
        }
    }

    fn substituted(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
        let (name, after) = rest.split_once('}').expect("it is closed");
        let value = match name.split_once('.') {
            Some((of, attribute)) => self.attribute(of, attribute),
            None => Self::reference(name),
        };
        format!("{before}{value}{}", self.substituted(after))
    }

    fn reference(of: &str) -> String {
        let named = NAMES.iter().find(|(id, _)| *id == of).map(|(_, name)| (*name).to_owned());
        named.unwrap_or_else(|| match of {
            "KeyArn" => "arn:aws:kms:us-east-1:000000000000:key/key".to_owned(),
            _ => panic!("what {of} is called is not known here"),
        })
    }

    fn attribute(&self, of: &str, attribute: &str) -> String {
        assert_eq!(attribute, "Arn", "of {of}");
        // Logs are made in a loop.
        if let Some(function) = of.strip_suffix("Logs") {
            return format!("arn:aws:logs:us-east-1:000000000000:log-group:{function}");
        }
        let kind = self.0["Resources"][of]["Type"].as_str();
        match kind {
            Some("AWS::S3::Bucket") => format!("arn:aws:s3:::{}", Self::reference(of)),
            Some("AWS::Kinesis::Stream") => stream(&Self::reference(of)),
            _ => panic!("the ARN of {of} is not known here"),
        }
    }
}

/// The folder that everything stands in.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The ARN of a stream.
pub(crate) fn stream(name: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}")
}

/// One value, or several.
pub(crate) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("{value} is no mapping"))
}

/// YAML as JSON, with the tags in their long form.
fn json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Tagged(tag, tagged) => {
            let name = match tag.suffix.as_str() {
                "Ref" => "Ref".to_owned(),
                "Condition" => "Condition".to_owned(),
                function => format!("Fn::{function}"),
            };
            Value::Object(Map::from_iter([(name, json(tagged))]))
        }
        Yaml::Mapping(pairs) => {
            let key = |key: &Yaml<'_>| key.as_str().unwrap_or_else(|| panic!("{key:?} is no key")).to_owned();
            Value::Object(pairs.iter().map(|(name, value)| (key(name), json(value))).collect())
        }
        Yaml::Sequence(values) => values.iter().map(json).collect(),
        scalar => {
            let text = scalar.as_str().map(Value::from);
            let other = text
                .or_else(|| scalar.as_bool().map(Value::from))
                .or_else(|| scalar.as_integer().map(Value::from));
            other.unwrap_or_else(|| {
                if scalar.is_null() { Value::Null } else { panic!("{scalar:?} is not known here") }
            })
        }
    }
}
