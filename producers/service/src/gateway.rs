//! A request as a gateway hands it to a Lambda, and the answer as that gateway wants it.
//!
//! | who | told by | path | query | headers |
//! |---|---|---|---|---|
//! | HTTP API, payload 2.0 | `rawPath` | decoded | as sent | one value each, joined by commas |
//! | HTTP API, payload 1.0 | `version` beside `path` | decoded | decoded | all values |
//! | REST API | `path` alone | as sent | decoded | all values |
//! | function URL | `rawPath`, its domain | as sent | as sent | one value each, joined by commas |
//! | load balancer | `requestContext.elb` | as sent | as sent | one value each, or all |
//!
//! Nothing is normalised on the way: what was decoded is encoded again, byte by byte, so that the router sees the segments
//! that the caller sent, and an id is looked at once, as on a port. A path that an HTTP API has decoded does not tell an
//! encoded slash from a slash, and it is cut at an encoded `?`: where it does not fit the route that the gateway chose, or
//! the parameters that it found there, the request is refused.

use std::{borrow::Cow, collections::BTreeMap};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
        uri::PathAndQuery,
    },
    response::IntoResponse,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use headwater::redact::json_fault;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::{RawValue, to_raw_value};
use tower::ServiceExt;

use crate::{problem::Problem, start::BoxError};

/// What is encoded of a segment, or of a query's name or value, that was decoded: all but what a path may hold as it is.
const DECODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b':')
    .remove(b'@');
/// What is encoded of what is as sent: what no request line may hold.
const SENT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');
/// The same in a path.
const SENT_PATH: &AsciiSet = &SENT.add(b'?');

/// One value for each name, or several.
type Values = BTreeMap<String, Vec<String>>;

/// The event, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    version: Option<String>,
    route_key: Option<String>,
    resource: Option<String>,
    raw_path: Option<String>,
    path: Option<String>,
    path_parameters: Option<BTreeMap<String, String>>,
    raw_query_string: Option<String>,
    query_string_parameters: Option<BTreeMap<String, String>>,
    multi_value_query_string_parameters: Option<Values>,
    http_method: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    multi_value_headers: Option<Values>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
    request_context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    stage: Option<String>,
    domain_name: Option<String>,
    elb: Option<IgnoredAny>,
    http: Option<Http>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

/// Who hands it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gateway {
    HttpApi,
    HttpApiV1,
    RestApi,
    FunctionUrl,
    LoadBalancer,
}

/// What the gateway is answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<Values>,
    body: String,
    is_base64_encoded: bool,
}

/// Asks the router what the event asks, whichever gateway sent it. An error is an event that is no request.
pub async fn answer(router: Router, event: &RawValue) -> Result<Box<RawValue>, BoxError> {
    let event: Event = serde_json::from_str(event.get())
        .map_err(|error| format!("the event is no HTTP request: {}", json_fault(&error)))?;
    let gateway = event.gateway();
    let all_values = event.multi_value_headers.is_some();
    let path = event.raw_path.clone().or_else(|| event.path.clone()).unwrap_or_default();
    let response = match event.request(gateway) {
        Ok(request) => router.oneshot(request).await?,
        Err(problem) => problem.at(&path).into_response(),
    };
    told(gateway, all_values, response).await
}

impl Event {
    fn gateway(&self) -> Gateway {
        let function_url =
            self.request_context.domain_name.as_ref().is_some_and(|name| name.contains(".lambda-url."));
        if self.request_context.elb.is_some() {
            Gateway::LoadBalancer
        } else if self.raw_path.is_some() {
            if function_url { Gateway::FunctionUrl } else { Gateway::HttpApi }
        } else if self.version.is_some() {
            Gateway::HttpApiV1
        } else {
            Gateway::RestApi
        }
    }

    fn request(self, gateway: Gateway) -> Result<Request<Body>, Problem> {
        let invalid = |field: &str, rule: &str| Problem::invalid(StatusCode::BAD_REQUEST, field, rule);
        let path = self.path(gateway)?;
        let query = self.query(gateway);
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        let target = PathAndQuery::try_from(target).map_err(|_| invalid("path", "is none"))?;
        let method =
            self.request_context.http.map(|http| http.method).or(self.http_method).unwrap_or_default();
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| invalid("method", "is none"))?;
        let mut headers = HeaderMap::new();
        let single =
            |headers: BTreeMap<String, String>| headers.into_iter().map(|(name, value)| (name, vec![value]));
        // All values where there are some: the others repeat the last of each.
        let named: Values = match self.multi_value_headers {
            Some(all) => all,
            None => self.headers.into_iter().flat_map(single).collect(),
        };
        for (name, values) in named {
            let header =
                HeaderName::try_from(&name).map_err(|_| invalid("header", "has no name that is allowed"))?;
            for value in values {
                let value = HeaderValue::try_from(value)
                    .map_err(|_| invalid(header.as_str(), "has a value that no header may have"))?;
                headers.append(header.clone(), value);
            }
        }
        if let Some(cookies) = self.cookies.filter(|cookies| !cookies.is_empty()) {
            let cookies = HeaderValue::try_from(cookies.join("; "));
            headers.insert(header::COOKIE, cookies.map_err(|_| invalid("cookie", "is none"))?);
        }
        let body = self.body.unwrap_or_default();
        let body = match self.is_base64_encoded {
            Some(true) => BASE64_STANDARD.decode(body).map_err(|_| invalid("body", "is no base64"))?,
            _ => body.into_bytes(),
        };
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(target);
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// The path with its segments encoded as they are sent.
    fn path(&self, gateway: Gateway) -> Result<String, Problem> {
        let path =
            self.raw_path.as_deref().or(self.path.as_deref()).filter(|path| !path.is_empty()).unwrap_or("/");
        if !matches!(gateway, Gateway::HttpApi | Gateway::HttpApiV1) {
            return Ok(utf8_percent_encode(path, SENT_PATH).to_string());
        }
        let refused = |rule: &str| Problem::invalid(StatusCode::BAD_REQUEST, "path", rule);
        let path = match &self.request_context.stage {
            Some(stage) if stage != "$default" => {
                let after = path.strip_prefix('/').and_then(|path| path.strip_prefix(stage.as_str()));
                after.filter(|after| after.starts_with('/')).unwrap_or(path)
            }
            _ => path,
        };
        if path.contains(char::REPLACEMENT_CHARACTER) {
            return Err(refused("is not UTF-8"));
        }
        if !self.fits(path) {
            return Err(refused("has an encoded slash or question mark in a segment"));
        }
        let segments: Vec<String> =
            path.split('/').map(|segment| utf8_percent_encode(segment, DECODED).to_string()).collect();
        Ok(segments.join("/"))
    }

    /// Whether a decoded path is one of the route that the gateway chose, with the parameters that it found there.
    fn fits(&self, path: &str) -> bool {
        let route = self.route_key.as_deref().or(self.resource.as_deref()).unwrap_or_default();
        let Some(place) = route.find('/') else { return true };
        let mut segments = path.split('/');
        for expected in route[place..].split('/') {
            let name = expected.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            if name.is_some_and(|name| name.ends_with('+')) {
                return true;
            }
            let Some(segment) = segments.next() else { return false };
            let found = name.and_then(|name| self.path_parameters.as_ref()?.get(name));
            let fits = match (name, found) {
                (None, _) => segment == expected,
                (Some(_), None) => true,
                (Some(_), Some(found)) => {
                    segment == found
                        || percent_decode_str(found).decode_utf8().is_ok_and(|found| segment == found)
                }
            };
            if !fits {
                return false;
            }
        }
        segments.next().is_none()
    }

    /// The query as it is sent.
    fn query(&self, gateway: Gateway) -> String {
        if let Some(query) = &self.raw_query_string {
            return utf8_percent_encode(query, SENT).to_string();
        }
        let all: Vec<(&str, &str)> =
            match (&self.multi_value_query_string_parameters, &self.query_string_parameters) {
                (Some(all), _) => all
                    .iter()
                    .flat_map(|(name, values)| values.iter().map(move |value| (&**name, &**value)))
                    .collect(),
                (None, Some(single)) => single.iter().map(|(name, value)| (&**name, &**value)).collect(),
                (None, None) => Vec::new(),
            };
        let set = if gateway == Gateway::LoadBalancer { SENT } else { DECODED };
        let pair =
            |(name, value)| format!("{}={}", utf8_percent_encode(name, set), utf8_percent_encode(value, set));
        all.into_iter().map(pair).collect::<Vec<_>>().join("&")
    }
}

/// The answer in the gateway's terms.
async fn told(
    gateway: Gateway,
    all_values: bool,
    response: Response<Body>,
) -> Result<Box<RawValue>, BoxError> {
    let (parts, body) = response.into_parts();
    let mut all = Values::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.as_str().to_owned()).or_default().push(value);
    }
    let joined = || all.iter().map(|(name, values)| (name.clone(), values.join(", "))).collect();
    let (headers, multi_value_headers) = match gateway {
        // Either or both: those of both are said once.
        Gateway::HttpApiV1 | Gateway::RestApi => (Some(joined()), Some(all)),
        Gateway::LoadBalancer if all_values => (None, Some(all)),
        Gateway::HttpApi | Gateway::FunctionUrl | Gateway::LoadBalancer => (Some(joined()), None),
    };
    let body = to_bytes(body, usize::MAX).await?;
    let (body, is_base64_encoded) = match std::str::from_utf8(&body) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(BASE64_STANDARD.encode(&body)), true),
    };
    let status_description = (gateway == Gateway::LoadBalancer).then(|| parts.status.to_string());
    Ok(to_raw_value(&Answer {
        status_code: parts.status.as_u16(),
        status_description,
        headers,
        multi_value_headers,
        body: body.into_owned(),
        is_base64_encoded,
    })?)
}
