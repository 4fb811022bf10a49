//! The odd requests.

/// Which service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Accounts,
    Credit,
}

/// One request, as it is sent.
#[derive(Clone)]
pub struct Asked {
    pub service: Service,
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What stands for an id in a path.
const IDS: &[&str] = &[
    "M1",
    "M%31",
    "%4D1",
    "M%2531",
    "m1",
    "M1%20",
    "%20M1",
    "M%0A1",
    "M%0a1",
    "M%091",
    "M%0D1",
    "M%0D%0A1",
    "M%001",
    "M1%00",
    "M1%7F",
    "M1%1B",
    "M1+",
    "M1%2B",
    "M1%",
    "M1%2",
    "M1%zz",
    "M1%25",
    "evil%5C..%5CM1",
    "evil\\..\\M1",
    "%5CM1",
    "M2%2F..%2FM1",
    "..%2FM1",
    "M1%2Fclose",
    "M1%2F",
    "%2FM1",
    "..",
    ".",
    "%2e%2e",
    "%2E",
    ".%2e",
    "M2/../M1",
    "./M1",
    "...",
    "M1.",
    ".M1",
    "/M1",
    "M1/",
    "",
    "M1;x=1",
    "M1%3Bx",
    "M1%3Fx",
    "M1%23x",
    "M1&a=b",
    "M1=",
    "M1,M2",
    "M1:80",
    "M1@evil",
    "M1$",
    "M1*",
    "M1!",
    "M1'",
    "M1%22",
    "M1%3C",
    "M1(1)",
    "M1~",
    "M1|",
    "M1[0]",
    "M1%7B%7D",
    "%C3%A9",
    "M1%C3%A9",
    "%E2%80%AEM1",
    "M1%E2%80%A8",
    "M1%EF%BB%BF",
    "M1%FF",
    "M1%C0%AF",
    "M1%EF%BF%BD",
    "%F0%9F%92%A9",
    "-",
    "_",
    "0",
    "%30",
    "constructor",
    "{id}",
    "%7Bid%7D",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
];

const QUERIES: &[&str] = &[
    "?",
    "?a=1",
    "?a",
    "?=",
    "?&&&",
    "?a=%",
    "?a=%zz",
    "?a=%0A",
    "?a=%00",
    "?a=b?c",
    "?a=b%26c",
    "?a=b+c",
    "?a=%C3%A9",
    "?a=%FF",
    "?a[]=1",
    "?a=/../",
];

/// Names and values of headers, beside a body that is right.
const HEADERS: &[&[(&str, &str)]] = &[
    &[("Idempotency-Key", "k1")],
    &[("Idempotency-Key", "k1")],
    &[("idempotency-KEY", "\"k2\"")],
    &[("Idempotency-Key", "")],
    &[("Idempotency-Key", "two words")],
    &[("Idempotency-Key", "a,b")],
    &[("Idempotency-Key", "k3"), ("Idempotency-Key", "k4")],
    &[("Idempotency-Key", "é")],
    &[("Idempotency-Key", "a/b?c=d#e")],
    &[("Idempotency-Key", "%0A")],
    &[("If-Match", "\"1\"")],
    &[("If-Match", "*")],
    &[("If-Match", "1")],
    &[("If-Match", "W/\"1\"")],
    &[("If-Match", "\"999\"")],
    &[("If-Match", "\"1\", \"2\"")],
    &[("If-None-Match", "*")],
    &[("If-None-Match", "\"1\"")],
    &[("If-Match", "\"1\""), ("If-None-Match", "*")],
    &[("traceparent", "nonsense")],
    &[("X-Correlation-Id", "")],
    &[("X-Correlation-Id", "a b")],
    &[("X-Correlation-Id", "right")],
    &[("X-Causation-Id", "one"), ("X-Causation-Id", "two")],
    &[("Cookie", "a=b; c=d")],
    &[("X-Forwarded-For", "1.2.3.4, 5.6.7.8")],
    &[("Accept", "text/html")],
];

const BODIES: &[&[u8]] = &[
    b"",
    b" ",
    b"{",
    b"{}",
    b"[]",
    b"[1]",
    b"null",
    b"1",
    b"\"amount\"",
    br#"{"amount":1}"#,
    b" \n{\"amount\" : 1}\r\n ",
    br#"{"amount":1} x"#,
    br#"{"amount":1,"amount":2}"#,
    br#"{"amount":1e0}"#,
    br#"{"amount":1.0}"#,
    br#"{"amount":-1}"#,
    br#"{"amount":0}"#,
    br#"{"amount":1000000000001}"#,
    br#"{"amount":99999999999999999999999999}"#,
    br#"{"amount":1e400}"#,
    br#"{"amount":"1"}"#,
    br#"{"amount":null}"#,
    br#"{"amount":1,"reference":null}"#,
    br#"{"amount":1,"reference":""}"#,
    br#"{"amount":1,"reference":"\ud800"}"#,
    br#"{"amount":1,"reference":"\u0000"}"#,
    br#"{"amount":1,"colour":1}"#,
    b"\xEF\xBB\xBF{\"amount\":1}",
    b"{\"amount\":1,\"reference\":\"\xFF\"}",
    b"amount=1",
];

const TYPES: &[&str] = &[
    "application/json",
    "application/json; charset=utf-8",
    "APPLICATION/JSON",
    "application/problem+json",
    "text/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "",
];

const METHODS: &[&str] = &["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "post"];

impl Asked {
    pub fn post(service: Service, target: &str, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { service, method: "POST", target: target.to_owned(), headers, body: body.as_bytes().to_vec() }
    }

    fn get(target: String) -> Self {
        Self { service: Service::Accounts, method: "GET", target, headers: Vec::new(), body: Vec::new() }
    }

    /// Whether decoding its path loses what it was.
    pub fn is_lossy(&self) -> bool {
        let path = self.target.split('?').next().unwrap_or_default().to_uppercase();
        ["%2F", "%3F", "%FF", "%C0", "%EF%BF%BD"].iter().any(|lost| path.contains(lost))
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(60)]).into_owned();
        write!(f, "{} {} {:?} {body:?}", self.method, self.target, self.headers)
    }
}

/// All of them, after the two accounts that they are about.
pub fn all() -> Vec<Asked> {
    let right = r#"{"amount":1}"#;
    let credit = |body: &str| Asked::post(Service::Credit, "/accounts/M1/credit", body);
    let mut all: Vec<Asked> = ["M1", "M2"]
        .map(|id| Asked::post(Service::Accounts, "/accounts", &format!(r#"{{"id":"{id}"}}"#)))
        .into();
    for id in IDS {
        all.push(Asked::post(Service::Credit, &format!("/accounts/{id}/credit"), right));
        all.push(Asked::get(format!("/accounts/{id}")));
    }
    for query in QUERIES {
        all.push(Asked::get(format!("/accounts/M1{query}")));
        all.push(Asked::post(Service::Credit, &format!("/accounts/M1/credit{query}"), right));
    }
    for headers in HEADERS {
        let mut asked = credit(right);
        asked.headers.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all.push(asked);
    }
    for body in BODIES {
        all.push(Asked { body: body.to_vec(), ..credit(right) });
    }
    all.push(Asked { body: vec![b' '; 300 << 10], ..credit(right) });
    for media_type in TYPES {
        let headers = vec![("Content-Type".to_owned(), (*media_type).to_owned())];
        all.push(Asked { headers, ..credit(right) });
    }
    all.push(Asked { headers: Vec::new(), ..credit(right) });
    for method in METHODS {
        all.push(Asked { method, body: Vec::new(), ..credit("") });
    }
    for path in
        ["/", "//", "/accounts", "/accounts/", "/nowhere", "/openapi.json/", "/health?x=y", "/accounts//M1"]
    {
        all.push(Asked::get(path.to_owned()));
    }
    all
}
