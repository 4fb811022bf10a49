//! Policies as IAM reads them, as far as the template needs: a call is allowed by a statement of its caller's role, unless a
//! statement of the bucket's policy refuses it.

use std::collections::{BTreeMap, BTreeSet};

use localstack::Request;
use serde_json::Value;

use super::template::{Template, list, stream};

/// One statement.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sid: String,
    allows: bool,
    pub(crate) actions: Vec<String>,
    pub(crate) resources: Vec<String>,
    conditions: Vec<Condition>,
}

/// What must be so for a statement to count.
#[derive(Debug, Clone)]
enum Condition {
    /// The call came by TLS, or not.
    Tls(bool),
    /// The call has no such header, or has one.
    Lacks { header: &'static str, lacks: bool },
}

impl Statement {
    /// Reads a statement; `text` resolves what stands in it.
    pub(crate) fn parse(statement: &Value, text: &dyn Fn(&Value) -> String) -> Self {
        let texts = |name: &str| list(&statement[name]).into_iter().map(text).collect::<Vec<_>>();
        let known = ["Sid", "Effect", "Action", "Resource", "Condition", "Principal"];
        let unknown =
            statement.as_object().and_then(|parts| parts.keys().find(|part| !known.contains(&part.as_str())));
        assert_eq!(unknown, None, "{statement}");
        assert!(statement["Principal"].is_null() || statement["Principal"] == "*", "{statement}");
        let conditions = statement["Condition"].as_object().into_iter().flatten();
        let conditions = conditions.flat_map(|(operator, keys)| {
            let keys = keys.as_object().into_iter().flatten();
            keys.map(|(key, value)| Condition::parse(operator, key, value == "true"))
        });
        let allows = match text(&statement["Effect"]).as_str() {
            "Allow" => true,
            "Deny" => false,
            effect => panic!("{effect} is not known here"),
        };
        Self {
            sid: text(&statement["Sid"]),
            allows,
            actions: texts("Action"),
            resources: texts("Resource"),
            conditions: conditions.collect(),
        }
    }

    /// The parts of the statement that speak of an action on a resource.
    fn speaks(&self, action: &str, call: &Call) -> Vec<(&String, &String)> {
        if !self.conditions.iter().all(|condition| condition.holds(call)) {
            return Vec::new();
        }
        let actions = self.actions.iter().filter(|pattern| matches(pattern, action));
        let resources = || self.resources.iter().filter(|pattern| matches(pattern, &call.resource));
        actions.flat_map(|action| resources().map(move |resource| (action, resource))).collect()
    }
}

impl Condition {
    fn parse(operator: &str, key: &str, value: bool) -> Self {
        match (operator, key) {
            ("Bool", "aws:SecureTransport") => Self::Tls(value),
            ("Null", "s3:if-match") => Self::Lacks { header: "if-match", lacks: value },
            ("Null", "s3:if-none-match") => Self::Lacks { header: "if-none-match", lacks: value },
            _ => panic!("the condition {operator} on {key} is not known here"),
        }
    }

    fn holds(&self, call: &Call) -> bool {
        match self {
            // The local AWS is reached without, and stands for what is reached with it.
            Self::Tls(by) => *by,
            Self::Lacks { header, lacks } => call.headers.contains(header) != *lacks,
        }
    }
}

/// Somebody asks for something.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) caller: String,
    pub(crate) actions: Vec<String>,
    pub(crate) resource: String,
    /// Of `if-match` and `if-none-match`, those that it has.
    pub(crate) headers: BTreeSet<&'static str>,
}

impl Call {
    /// What a request asks for.
    pub(crate) fn of(request: &Request) -> Self {
        let actions: Vec<String> = request.actions().into_iter().map(str::to_owned).collect();
        let resource = match (&request.bucket, &request.key, &request.stream) {
            (Some(bucket), Some(key), _) => format!("arn:aws:s3:::{bucket}/{key}"),
            (Some(bucket), None, _) => format!("arn:aws:s3:::{bucket}"),
            (_, _, Some(name)) => stream(name),
            _ => "nothing".to_owned(),
        };
        let has = |name: &&str| request.headers.contains_key(*name);
        let headers = ["if-match", "if-none-match"].into_iter().filter(has).collect();
        Self { caller: request.caller.clone().unwrap_or_default(), actions, resource, headers }
    }

    /// What S3 demands besides of whoever asks it for an object that is not there.
    pub(crate) fn missed(&self) -> Self {
        let (bucket, _) = self.resource.split_once('/').expect("an object");
        Self { actions: vec!["s3:ListBucket".to_owned()], resource: bucket.to_owned(), ..self.clone() }
    }
}

/// A right that a role has: its statement, an action and a resource of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    pub(crate) role: String,
    pub(crate) sid: String,
    pub(crate) action: String,
    pub(crate) resource: String,
}

/// Every policy of the template.
pub(crate) struct Policies {
    pub(crate) roles: BTreeMap<String, Vec<Statement>>,
    buckets: Vec<Statement>,
}

impl Policies {
    pub(crate) fn of(template: &Template) -> Self {
        let (roles, buckets) = (template.roles(), template.bucket_policies());
        assert!(
            roles.values().flatten().all(|statement| statement.allows && statement.conditions.is_empty())
        );
        assert!(
            buckets.iter().all(|statement| !statement.allows),
            "a bucket's policy allows nobody anything"
        );
        Self { roles, buckets }
    }

    /// The rights that a call makes use of; what it lacks where it is refused. A caller without a role of the template may do
    /// whatever the buckets' policies let anybody do.
    pub(crate) fn judge(&self, call: &Call) -> Result<BTreeSet<Right>, String> {
        let mut used = BTreeSet::new();
        for action in &call.actions {
            let refused = self.buckets.iter().find(|statement| !statement.speaks(action, call).is_empty());
            if let Some(Statement { sid, .. }) = refused {
                return Err(format!("{} may not {action} {}: {sid}", call.caller, call.resource));
            }
            let Some(statements) = self.roles.get(&call.caller) else { continue };
            let mut rights = statements
                .iter()
                .flat_map(|statement| {
                    let right = |(action, resource): (&String, &String)| Right {
                        role: call.caller.clone(),
                        sid: statement.sid.clone(),
                        action: action.clone(),
                        resource: resource.clone(),
                    };
                    statement.speaks(action, call).into_iter().map(right).collect::<Vec<_>>()
                })
                .peekable();
            if rights.peek().is_none() {
                return Err(format!(
                    "{} may not {action} {}: no statement allows it",
                    call.caller, call.resource
                ));
            }
            used.extend(rights);
        }
        Ok(used)
    }

    /// Every right of every role.
    pub(crate) fn rights(&self) -> BTreeSet<Right> {
        let mut rights = BTreeSet::new();
        for (role, statements) in &self.roles {
            for Statement { sid, actions, resources, .. } in statements {
                for (action, resource) in
                    actions.iter().flat_map(|action| resources.iter().map(move |resource| (action, resource)))
                {
                    let (role, sid, action, resource) =
                        (role.clone(), sid.clone(), action.clone(), resource.clone());
                    rights.insert(Right { role, sid, action, resource });
                }
            }
        }
        // A bucket has no objects' actions, nor its objects the bucket's.
        rights.retain(|right| match right.resource.strip_prefix("arn:aws:s3:::") {
            Some(resource) => resource.contains('/') != (right.action == "s3:ListBucket"),
            None => true,
        });
        rights
    }
}

/// Whether a pattern with `*` and `?` covers a text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .any(|at| matches(rest.as_str(), &text[at..])),
        Some(wanted) => {
            let mut found = text.chars();
            found.next().is_some_and(|char| wanted == '?' || wanted == char)
                && matches(rest.as_str(), found.as_str())
        }
    }
}
