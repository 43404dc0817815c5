//! Random tokens, configurations and keys: nothing panics, and only a signed token is accepted.

use std::sync::LazyLock;

use lentil_server::AuthConfig;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, all_keys, claims};
use crate::keys::{EDDSA, ES256, RS256, base64};

const ISSUER: &str = "https://own.example";

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let provider = |algorithm| json!({"type": "customJwt", "issuer": ISSUER, "algorithm": algorithm, "jwks": all_keys()});
    Fixture::new(&json!({"providers": [provider("ES256")]}))
});

fn is_accepted(token: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(FIXTURE.verify(token)).is_ok()
}

/// JSON with fields and strings that often have a meaning.
fn json() -> impl Strategy<Value = Json> {
    let words = vec![
        "providers",
        "domain",
        "applicationID",
        "type",
        "customJwt",
        "issuer",
        "jwks",
        "algorithm",
        "RS256",
        "ES256",
        "EdDSA",
        "none",
        "keys",
        "kty",
        "RSA",
        "EC",
        "OKP",
        "crv",
        "P-256",
        "Ed25519",
        "kid",
        "es",
        "n",
        "e",
        "x",
        "y",
        "use",
        "sig",
        "alg",
        "crit",
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "fva",
        "updated_at",
        "address",
        "formatted",
        "AQAB",
        "data:;base64,e30=",
        "data:,{}",
        "https://a.example",
        "http://localhost",
        ISSUER,
    ];
    let text =
        prop_oneof![8 => prop::sample::select(words).prop_map(str::to_owned), 1 => any::<String>()];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        text.clone().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((text.clone(), inner), 0..8)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_is_accepted(token in any::<String>(), parts in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
        prop_assert!(!is_accepted(&token));
        let parts: Vec<String> = parts.iter().map(|part| base64(part)).collect();
        prop_assert!(!is_accepted(&parts.join(".")));
    }

    #[test]
    fn no_unsigned_token_is_accepted(header in json(), claims in json(), signature in any::<Vec<u8>>()) {
        let parts = [header.to_string().into_bytes(), claims.to_string().into_bytes(), signature];
        prop_assert!(!is_accepted(&parts.map(|part| base64(&part)).join(".")));
    }

    #[test]
    fn signed_claims_of_any_shape_do_not_panic(further in json(), more in json()) {
        let mut claims = claims(ISSUER);
        claims["further"] = further;
        if let Json::Object(more) = more {
            claims.as_object_mut().unwrap().extend(more);
        }
        is_accepted(&ES256.token("es", &claims));
    }

    #[test]
    fn no_change_to_a_token_goes_unnoticed(at in any::<prop::sample::Index>(), by in 1..128_u8) {
        let mut token = ES256.token("es", &claims(ISSUER)).into_bytes();
        prop_assert!(is_accepted(std::str::from_utf8(&token).unwrap()));
        let at = at.index(token.len());
        token[at] = (token[at] + by) % 128;
        prop_assert!(!is_accepted(std::str::from_utf8(&token).unwrap()));
    }

    #[test]
    fn any_text_is_a_configuration_or_an_error(text in any::<String>(), config in json(), provider in json()) {
        let _ = AuthConfig::parse(&text);
        let _ = AuthConfig::parse(&config.to_string());
        let _ = AuthConfig::parse(&json!({"providers": [provider]}).to_string());
    }

    #[test]
    fn any_key_is_one_or_left_out(changes in prop::collection::vec((0..3_usize, json(), json()), 0..4)) {
        let mut keys = [RS256.jwk("es"), ES256.jwk("es"), EDDSA.jwk("es")];
        for (key, name, value) in changes {
            keys[key][name.as_str().unwrap_or("x")] = value;
        }
        let provider = json!({"type": "customJwt", "issuer": ISSUER, "algorithm": "ES256", "jwks": {"keys": keys}});
        if let Ok(config) = AuthConfig::parse(&json!({"providers": [provider]}).to_string()) {
            let authenticator = lentil_server::Authenticator::new(config, || 0.0);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(authenticator.verify(&ES256.token("es", &claims(ISSUER))));
        }
    }
}
