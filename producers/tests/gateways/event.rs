//! What each gateway makes of a request, as captures of them show it.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::table::{Asked, Service};

/// Who hands a request to a Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// An HTTP API with a route for each operation, as the template has it: payload 2.0, the path decoded.
    HttpApi,
    /// An HTTP API with one route for all.
    HttpApiDefault,
    /// An HTTP API, payload 1.0.
    HttpApiV1,
    /// A REST API: the path as sent.
    RestApi,
    /// A function URL: payload 2.0, the path as sent.
    FunctionUrl,
    /// A load balancer: path and query as sent.
    LoadBalancer,
    /// A load balancer that hands over all values of a header.
    LoadBalancerAll,
}

impl Gateway {
    pub const ALL: [Self; 7] = [
        Self::HttpApi,
        Self::HttpApiDefault,
        Self::HttpApiV1,
        Self::RestApi,
        Self::FunctionUrl,
        Self::LoadBalancer,
        Self::LoadBalancerAll,
    ];

    /// Whether the gateway hands over what is to be compared: one without routes does not see an encoded slash, and one that
    /// joins values no second header.
    pub fn can_tell(self, asked: &Asked) -> bool {
        let joins = !matches!(self, Self::HttpApiV1 | Self::RestApi | Self::LoadBalancerAll);
        let names: Vec<&str> = asked.headers.iter().map(|(name, _)| name.as_str()).collect();
        let twice = names.iter().any(|name| names.iter().filter(|other| *other == name).count() > 1);
        let decodes = matches!(self, Self::HttpApiDefault | Self::HttpApiV1);
        !(joins && twice || decodes && asked.is_lossy())
    }

    pub fn event(self, asked: &Asked) -> Value {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let decoded = percent_decode_str(path).decode_utf8_lossy().into_owned();
        let decoded = decoded.split('?').next().unwrap_or_default();
        let (body, base64) = match std::str::from_utf8(&asked.body) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (BASE64_STANDARD.encode(&asked.body), true),
        };
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &asked.headers {
            all.entry(name.to_lowercase()).or_default().push(value.trim().to_owned());
        }
        let joined: BTreeMap<&str, String> =
            all.iter().map(|(name, values)| (&**name, values.join(","))).collect();
        let last: BTreeMap<&str, &String> =
            all.iter().filter_map(|(name, values)| Some((&**name, values.last()?))).collect();
        let raw: Vec<(&str, &str)> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        let plain = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs: BTreeMap<String, Vec<String>> =
            raw.iter().map(|(name, value)| (plain(name), vec![plain(value)])).collect();
        let sent: BTreeMap<&str, Vec<&str>> = raw.iter().map(|(name, value)| (*name, vec![*value])).collect();
        match self {
            Self::HttpApi | Self::HttpApiDefault | Self::FunctionUrl => {
                let (path, route, domain) = match self {
                    Self::HttpApi => (decoded, asked.route(), "a.execute-api.eu-west-1.amazonaws.com"),
                    Self::HttpApiDefault => {
                        (decoded, "$default".to_owned(), "a.execute-api.eu-west-1.amazonaws.com")
                    }
                    _ => (path, "$default".to_owned(), "a.lambda-url.eu-west-1.on.aws"),
                };
                let parameters = (route != "$default").then(|| json!({"id": asked.id()}));
                json!({
                    "version": "2.0", "routeKey": route, "pathParameters": parameters, "rawPath": path, "rawQueryString": query, "headers": joined,
                    "requestContext": {
                        "accountId": "1", "apiId": "a", "domainName": domain, "requestId": "r", "routeKey": route,
                        "stage": "$default",
                        "http": {"method": asked.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
                    },
                    "body": body, "isBase64Encoded": base64,
                })
            }
            Self::HttpApiV1 | Self::RestApi => {
                let path = if self == Self::RestApi { path } else { decoded };
                let mut event = json!({
                    "resource": "$default", "path": path, "httpMethod": asked.method, "headers": last,
                    "multiValueHeaders": all, "queryStringParameters": null,
                    "multiValueQueryStringParameters": pairs, "pathParameters": null, "stageVariables": null,
                    "requestContext": {"accountId": "1", "apiId": "a", "stage": "$default", "httpMethod": asked.method},
                    "body": body, "isBase64Encoded": base64,
                });
                if self == Self::HttpApiV1 {
                    event["version"] = "1.0".into();
                } else {
                    event["resource"] = "/{proxy+}".into();
                }
                event
            }
            Self::LoadBalancer | Self::LoadBalancerAll => {
                let context = json!({"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/1"}});
                let mut event = json!({
                    "requestContext": context, "httpMethod": asked.method, "path": path,
                    "body": body, "isBase64Encoded": base64,
                });
                if self == Self::LoadBalancer {
                    event["headers"] = json!(joined);
                    event["queryStringParameters"] =
                        json!(raw.iter().copied().collect::<BTreeMap<&str, &str>>());
                } else {
                    event["multiValueHeaders"] = json!(all);
                    event["multiValueQueryStringParameters"] = json!(sent);
                }
                event
            }
        }
    }
}

impl Asked {
    /// The route of the template that a gateway chooses, by the path as it was sent.
    fn route(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        let segments = path.split('/').count();
        match self.service {
            Service::Credit if self.id().is_some() && path.ends_with("/credit") && segments == 4 => {
                "POST /accounts/{id}/credit".to_owned()
            }
            Service::Accounts if self.id().is_some() && segments == 3 => "GET /accounts/{id}".to_owned(),
            _ => "$default".to_owned(),
        }
    }

    /// What a gateway finds for a route's `{id}`, which is never empty.
    fn id(&self) -> Option<String> {
        let path = self.target.split('?').next().unwrap_or_default();
        let id = path.strip_prefix("/accounts/")?.split('/').next().filter(|id| !id.is_empty())?;
        Some(percent_decode_str(id).decode_utf8_lossy().into_owned())
    }
}
