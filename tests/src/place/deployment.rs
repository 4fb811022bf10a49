//! A deployed stack, by what `infra/deploy` prints: `eval` that, and the tests find it in the environment.

use headwater::aws::Settings;

use super::Resources;

/// Where a stack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// `HEADWATER_URL`: where the API is, without a slash at its end.
    pub url: String,
    /// `HEADWATER_STORE`, `HEADWATER_ARCHIVE`, `HEADWATER_STREAM` and `HEADWATER_FORWARD`.
    pub resources: Resources,
    /// `AWS_ENDPOINT_URL`: where S3 and Kinesis listen; AWS itself without it.
    endpoint: Option<String>,
    /// `AWS_REGION`.
    region: Option<String>,
    /// Whether somebody has said who asks.
    credentials: bool,
}

impl Deployment {
    /// What the environment says, or whatever else `lookup` looks at; `None` without `HEADWATER_URL`.
    ///
    /// # Panics
    ///
    /// If there is one, and one of the other names is missing.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let url = lookup("HEADWATER_URL")?;
        let demand = |name: &str| {
            let missing = || panic!("{name} is not set, and HEADWATER_URL is: eval what infra/deploy prints");
            lookup(name).unwrap_or_else(missing)
        };
        let [store, archive, stream, forward] =
            ["STORE", "ARCHIVE", "STREAM", "FORWARD"].map(|name| demand(&format!("HEADWATER_{name}")));
        Some(Self {
            url: url.trim_end_matches('/').to_owned(),
            resources: Resources { store, archive, stream, forward },
            endpoint: lookup("AWS_ENDPOINT_URL"),
            region: lookup("AWS_REGION"),
            credentials: ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"].iter().any(|name| lookup(name).is_some()),
        })
    }

    /// How to ask there: an emulator takes whatever key pair, AWS the caller's own.
    pub(super) fn settings(&self) -> Settings {
        let Self { endpoint, region, credentials, .. } = self;
        let settings = match endpoint {
            Some(endpoint) if !credentials => Settings::local(endpoint),
            _ => Settings { endpoint: endpoint.clone(), ..Settings::default() },
        };
        Settings { region: region.clone().or(settings.region), ..settings }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What `infra/deploy` prints.
    fn printed() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
            ("AWS_REGION", "eu-central-1"),
            ("HEADWATER_URL", "http://127.0.0.1:4566/_aws/execute-api/a1/"),
            ("HEADWATER_STORE", "s"),
            ("HEADWATER_ARCHIVE", "a"),
            ("HEADWATER_STREAM", "k"),
            ("HEADWATER_FORWARD", "f"),
        ])
    }

    fn read(variables: &BTreeMap<&str, &str>) -> Option<Deployment> {
        Deployment::from_lookup(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn what_is_printed_is_found_again() {
        let mut printed = printed();
        let found = read(&printed).expect("a deployment");
        assert_eq!(found.url, "http://127.0.0.1:4566/_aws/execute-api/a1");
        assert_eq!(found.resources.forward, "f");
        let settings = found.settings();
        assert_eq!(settings.endpoint.as_deref(), Some("http://127.0.0.1:4566"));
        assert_eq!(settings.region.as_deref(), Some("eu-central-1"));
        assert!(settings.credentials.is_some(), "an emulator takes any");

        printed.remove("AWS_ENDPOINT_URL");
        let settings = read(&printed).expect("a deployment").settings();
        assert!(settings.endpoint.is_none() && settings.credentials.is_none(), "AWS knows who asks");
        printed.insert("HEADWATER_URL", "");
        assert_eq!(read(&printed), None);
    }

    #[test]
    #[should_panic(expected = "HEADWATER_FORWARD is not set")]
    fn half_a_deployment_is_told() {
        let mut printed = printed();
        printed.remove("HEADWATER_FORWARD");
        read(&printed);
    }
}
