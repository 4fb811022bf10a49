//! Where S3 and Kinesis listen: `--endpoint` for both, else what the environment says, as the SDKs do: `AWS_ENDPOINT_URL_S3` and
//! `AWS_ENDPOINT_URL_KINESIS` before `AWS_ENDPOINT_URL`.
//!
//! An endpoint on this machine needs no configuration: what the environment does not set is made up, so that credentials from
//! a file never go to a process that only listens here.

use aws_sdk_s3::config::Credentials;
use headwater::aws::Settings;
use reqwest::Url;

use super::Unreachable;

/// Where both services listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoints {
    /// What the command line says: it goes before all else.
    given: Option<Url>,
    /// S3's; `None` is what the AWS configuration says.
    s3: Option<Url>,
    /// Kinesis's.
    kinesis: Option<Url>,
}

impl Endpoints {
    /// What the command line or else the environment says.
    pub(super) fn of(
        given: Option<&Url>,
        read: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Unreachable> {
        if let Some(given) = given {
            let given = Some(given.clone());
            return Ok(Self { s3: given.clone(), kinesis: given.clone(), given });
        }
        let ignored = read("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|text| text == "true");
        let variable = |name: &'static str| match read(name).filter(|text| !ignored && !text.is_empty()) {
            Some(text) => parse(&text).map(Some).map_err(|rule| Unreachable::Endpoint { name, rule }),
            None => Ok(None),
        };
        let both = variable("AWS_ENDPOINT_URL")?;
        let s3 = variable("AWS_ENDPOINT_URL_S3")?.or_else(|| both.clone());
        let kinesis = variable("AWS_ENDPOINT_URL_KINESIS")?.or(both);
        Ok(Self { given: None, s3, kinesis })
    }

    /// The embedded AWS.
    pub(super) fn embedded(endpoint: &str) -> Self {
        let given = Url::parse(endpoint).ok();
        Self { s3: given.clone(), kinesis: given.clone(), given }
    }

    /// Where S3 listens, in the words of an answer.
    pub(super) fn s3(&self) -> String {
        place(self.s3.as_ref())
    }

    /// Where Kinesis listens, in the words of an answer.
    pub(super) fn kinesis(&self) -> String {
        place(self.kinesis.as_ref())
    }

    /// Whether both listen on this machine.
    pub(super) fn are_loopback(&self) -> bool {
        [&self.s3, &self.kinesis].into_iter().all(|url| url.as_ref().is_some_and(is_loopback))
    }

    /// How to ask them. What the environment says of endpoints the SDK reads by itself.
    pub(super) fn settings(&self, is_set: impl Fn(&str) -> bool) -> Settings {
        let mut settings = Settings { endpoint: self.given.as_ref().map(text), ..Settings::default() };
        let none_of = |names: &[&str]| !names.iter().any(|name| is_set(name));
        if self.are_loopback() {
            if none_of(&["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"]) {
                settings.region = Some("us-east-1".to_owned());
            }
            if none_of(&["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"]) {
                settings.credentials = Some(Credentials::new("local", "local", None, None, "headwater"));
            }
        }
        settings
    }
}

fn place(url: Option<&Url>) -> String {
    url.map_or_else(|| "AWS".to_owned(), text)
}

fn text(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn is_loopback(endpoint: &Url) -> bool {
    let host = endpoint.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// Reads an endpoint.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "an endpoint reads http://host:port".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Endpoints {
        Endpoints::of(Some(&parse(text).expect("an endpoint")), |_| None).expect("read")
    }

    fn set(variables: &[(&str, &str)]) -> Endpoints {
        let read = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Endpoints::of(None, read).expect("read")
    }

    #[test]
    fn this_machine_needs_no_configuration() {
        for text in
            ["http://127.0.0.1:4566", "http://localhost:4566/", "http://[::1]:4566", "http://127.1.2.3"]
        {
            let settings = given(text).settings(|_| false);
            assert_eq!(settings.region.as_deref(), Some("us-east-1"), "{text}");
            let credentials = settings.credentials.expect("made up");
            assert_eq!((credentials.access_key_id(), credentials.secret_access_key()), ("local", "local"));
        }
    }

    #[test]
    fn what_the_environment_says_goes_first() {
        let local = given("http://127.0.0.1:4566");
        let settings = local.settings(|name| name == "AWS_REGION" || name == "AWS_ACCESS_KEY_ID");
        assert_eq!((settings.region, settings.credentials.is_none()), (None, true));
    }

    #[test]
    fn another_machine_never_gets_made_up_credentials() {
        for text in [
            "https://kinesis.eu-west-1.amazonaws.com",
            "http://10.0.0.7:4566",
            "http://localhost.example.org",
        ] {
            let settings = given(text).settings(|_| false);
            assert_eq!((settings.region, settings.credentials.is_none()), (None, true), "{text}");
        }
        let half = set(&[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:4566")]);
        assert!(half.settings(|_| false).credentials.is_none(), "Kinesis is somewhere else");
    }

    #[test]
    fn each_service_has_its_own_variable_before_the_one_for_all() {
        let (all, s3, kinesis) = ("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3");
        let places = |endpoints: Endpoints| (endpoints.s3(), endpoints.kinesis());
        let places_of = |variables: &[(&str, &str)]| places(set(variables));
        let told = |s3: &str, kinesis: &str| (s3.to_owned(), kinesis.to_owned());
        assert_eq!(places_of(&[]), told("AWS", "AWS"));
        assert_eq!(places_of(&[("AWS_ENDPOINT_URL", all)]), told(all, all));
        let one = [("AWS_ENDPOINT_URL", all), ("AWS_ENDPOINT_URL_KINESIS", kinesis)];
        assert_eq!(places_of(&one), told(all, kinesis));
        let both = [("AWS_ENDPOINT_URL_S3", s3), ("AWS_ENDPOINT_URL_KINESIS", kinesis)];
        assert_eq!(places_of(&both), told(s3, kinesis));
        assert_eq!(set(&both).settings(|_| false).endpoint, None, "the SDK reads them by itself");
        assert!(set(&both).settings(|_| false).credentials.is_some(), "both are on this machine");
        let ignored = [("AWS_ENDPOINT_URL", all), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")];
        assert_eq!(places_of(&ignored), told("AWS", "AWS"));
        assert_eq!(places(given(all)), told(all, all), "what is given goes before all");
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in ["", "127.0.0.1:4566", "ftp://127.0.0.1", "http://"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let wrong = Endpoints::of(None, |name| (name == "AWS_ENDPOINT_URL_S3").then(|| "4566".to_owned()));
        assert!(wrong.expect_err("no endpoint").to_string().contains("AWS_ENDPOINT_URL_S3"));
    }
}
