use lentil_server::AuthConfig;
use serde_json::{Value as Json, json};

use crate::fixture::all_keys;
use crate::keys::jwks;

#[track_caller]
fn assert_wrong(config: Json, expected: &[&str]) {
    let error = AuthConfig::parse(&config.to_string())
        .unwrap_err()
        .to_string();
    for part in expected {
        assert!(error.contains(part), "{error} has no {part}");
    }
}

fn custom(field: &str, value: Json) -> Json {
    let mut provider = json!({"type": "customJwt", "issuer": "own.example", "jwks": "https://own.example/jwks", "algorithm": "ES256"});
    provider[field] = value;
    let first = json!({"domain": "https://login.example.com", "applicationID": "app"});
    json!({"providers": [first, provider]})
}

fn oidc(provider: Json) -> Json {
    json!({ "providers": [provider] })
}

#[test]
fn configurations_of_convex_are_accepted() {
    let good = [
        custom("applicationID", json!("app")),
        custom("jwks", all_keys()),
        custom("jwks", json!("http://127.0.0.1:3000/jwks.json")),
        custom("algorithm", json!("EdDSA")),
        oidc(json!({"domain": "login.example.com", "applicationID": "app"})),
        json!({"providers": []}),
    ];
    for config in good {
        AuthConfig::parse(&config.to_string()).unwrap();
    }
}

#[test]
fn errors_name_the_field_and_the_expected_value() {
    assert_wrong(json!([]), &["the config: expected an object"]);
    assert_wrong(json!({}), &["the config.providers: expected a list"]);
    assert_wrong(
        json!({"providers": {}}),
        &["the config.providers: expected a list"],
    );
    assert_wrong(
        json!({"providers": [], "provider": 1}),
        &["the config.provider: unknown field"],
    );
    assert_wrong(
        oidc(json!("https://a.example")),
        &["providers[0]: expected an object"],
    );
    assert_wrong(oidc(json!({})), &["providers[0].domain: missing"]);
    assert_wrong(
        oidc(json!({"domain": "a.example"})),
        &["providers[0].applicationID: missing"],
    );
    let unknown = json!({"domain": "a.example", "applicationID": "app", "algorithm": "RS256"});
    assert_wrong(oidc(unknown), &["providers[0].algorithm: unknown field"]);
    for domain in ["http://a.example", "a b", "https://"] {
        let provider = json!({"domain": domain, "applicationID": "app"});
        assert_wrong(
            oidc(provider),
            &["providers[0].domain: expected an https:// URL"],
        );
    }
    let query = json!({"domain": "https://a.example?tenant=1", "applicationID": "app"});
    assert_wrong(
        oidc(query),
        &["providers[0].domain: expected a URL without"],
    );
    assert_wrong(
        custom("type", json!("oidc")),
        &["providers[1].type: expected \"customJwt\""],
    );
    for algorithm in ["HS256", "none", "RS512", "rs256"] {
        assert_wrong(
            custom("algorithm", json!(algorithm)),
            &["providers[1].algorithm: expected \"RS256\", \"ES256\""],
        );
    }
    assert_wrong(
        custom("issuer", json!("")),
        &["providers[1].issuer: expected a text"],
    );
    assert_wrong(
        custom("applicationID", Json::Null),
        &["providers[1].applicationID: expected a text"],
    );
    assert_wrong(
        custom("jwks", json!("http://own.example")),
        &["providers[1].jwks: expected an https:// URL"],
    );
    assert_wrong(
        custom("jwks", json!("data:,{")),
        &["providers[1].jwks: expected JSON in the data: URL"],
    );
    assert_wrong(
        custom("jwks", Json::Null),
        &["providers[1].jwks: expected the URL of a JWKS"],
    );
    assert_wrong(
        custom("jwks", json!({"key": []})),
        &["providers[1].jwks: expected a JWKS"],
    );
    for keys in [jwks(&[]), jwks(&[crate::keys::EDDSA.jwk("ed")])] {
        assert_wrong(
            custom("jwks", keys),
            &["providers[1].jwks: expected a public key for"],
        );
    }
    let error = AuthConfig::parse("{providers:").unwrap_err().to_string();
    assert!(
        error.contains("not JSON") && error.contains("column 2"),
        "{error}"
    );
}
