use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, NOW_S, all_keys, but, claims};
use crate::keys::{EDDSA, ES256, RS256, Signer, base64, hs256, jwks, unsigned};
use crate::provider::Provider;

async fn oidc() -> (Fixture, Json) {
    let provider = Provider::start(&all_keys()).await;
    (Fixture::oidc(&provider), claims(&provider.issuer()))
}

/// Trusts a provider with its keys in the configuration. Returns the claims of its tokens.
fn custom(algorithm: &str, keys: Json) -> (Fixture, Json) {
    let provider = json!({"type": "customJwt", "issuer": "https://own.example/", "applicationID": "app",
        "algorithm": algorithm, "jwks": keys});
    (
        Fixture::new(&json!({ "providers": [provider] })),
        claims("https://own.example"),
    )
}

#[tokio::test]
async fn each_algorithm_is_accepted() {
    let (oidc, oidc_claims) = oidc().await;
    for (kid, key) in [("rs", &*RS256), ("es", &*ES256), ("ed", &*EDDSA)] {
        let user = oidc.verify(&key.token(kid, &oidc_claims)).await.unwrap();
        assert_eq!(user.identity.subject(), "user");
        assert_eq!(user.expires_at_ms, (NOW_S + 60) as f64 * 1e3);
        let (custom, claims) = custom(key.algorithm(), all_keys());
        let user = custom.verify(&key.token(kid, &claims)).await.unwrap();
        assert_eq!(user.identity.token_identifier(), "https://own.example|user");
    }
}

#[tokio::test]
async fn inline_keys_may_be_data_urls() {
    let keys = jwks(&[EDDSA.jwk("ed")]).to_string();
    let base64 = data_encoding::BASE64.encode(keys.as_bytes());
    let percent = keys.replace('"', "%22");
    for url in [
        format!("data:application/json;base64,{base64}"),
        format!("data:application/json,{percent}"),
    ] {
        let (fixture, claims) = custom("EdDSA", Json::from(url));
        fixture.verify(&EDDSA.token("ed", &claims)).await.unwrap();
    }
}

#[tokio::test]
async fn wrong_signature_is_refused() {
    let (oidc, oidc_claims) = oidc().await;
    let (custom, custom_claims) = custom("ES256", all_keys());
    let stranger = Signer::es256();
    assert_eq!(
        oidc.refusal(&stranger.token("es", &oidc_claims)).await,
        "Unauthenticated"
    );
    assert_eq!(
        custom.refusal(&stranger.token("es", &custom_claims)).await,
        "InvalidAuthHeader"
    );
    for (kid, key) in [("rs", &*RS256), ("es", &*ES256), ("ed", &*EDDSA)] {
        let token = key.token(kid, &oidc_claims);
        let forged = but(&oidc_claims, "sub", json!("admin"));
        let signature = token.rsplit('.').next().unwrap();
        let message = unsigned(&json!({"alg": key.algorithm(), "kid": kid}), &forged);
        for signature in [
            signature,
            "",
            "AA",
            "not base64!",
            &base64(&[0; 64]),
            &base64(&[255; 256]),
        ] {
            assert_eq!(
                oidc.refusal(&format!("{message}.{signature}")).await,
                "Unauthenticated"
            );
        }
    }
}

#[tokio::test]
async fn times_are_checked_with_five_seconds_of_leeway() {
    let (oidc, claims) = oidc().await;
    let sign = |name, time: f64| ES256.token("es", &but(&claims, name, json!(NOW_S as f64 + time)));
    oidc.verify(&sign("exp", -4.9)).await.unwrap();
    assert_eq!(oidc.refusal(&sign("exp", -5.0)).await, "Unauthenticated");
    oidc.verify(&sign("nbf", 4.9)).await.unwrap();
    assert_eq!(oidc.refusal(&sign("nbf", 5.1)).await, "Unauthenticated");
    let (custom, claims) = custom("ES256", all_keys());
    let expired = ES256.token("es", &but(&claims, "exp", json!(NOW_S - 6)));
    assert_eq!(custom.refusal(&expired).await, "InvalidAuthHeader");
    let endless = custom
        .verify(&ES256.token("es", &but(&claims, "exp", json!(1e308))))
        .await
        .unwrap();
    assert_eq!(endless.expires_at_ms, 8.64e15);
}

#[tokio::test]
async fn token_of_another_issuer_or_audience_has_no_provider() {
    let (oidc, claims) = oidc().await;
    let changed = |name, claim| ES256.token("es", &but(&claims, name, claim));
    assert_eq!(
        oidc.refusal(&changed("iss", json!("https://else.example")))
            .await,
        "NoAuthProvider"
    );
    for audience in [
        json!("other"),
        json!([]),
        json!(["other"]),
        Json::Null,
        json!(""),
    ] {
        assert_eq!(
            oidc.refusal(&changed("aud", audience)).await,
            "NoAuthProvider"
        );
    }
    assert_eq!(
        oidc.refusal(&changed("aud", json!(["app", "other"]))).await,
        "Unauthenticated"
    );
    assert_eq!(
        oidc.refusal(&changed("aud", json!(7))).await,
        "InvalidAuthHeader"
    );
    oidc.verify(&changed("aud", json!(["app"]))).await.unwrap();
    let (custom, claims) = custom("ES256", all_keys());
    custom
        .verify(&ES256.token("es", &but(&claims, "aud", json!(["other", "app"]))))
        .await
        .unwrap();
    let none = Fixture::new(&json!({"providers": []}));
    assert_eq!(
        none.refusal(&changed("aud", json!("app"))).await,
        "NoAuthProvider"
    );
}

#[tokio::test]
async fn issuers_are_equal_without_their_slash_and_scheme() {
    let (custom, claims) = custom("ES256", all_keys());
    for issuer in ["https://own.example", "https://own.example/", "own.example"] {
        let user = custom
            .verify(&ES256.token("es", &but(&claims, "iss", json!(issuer))))
            .await
            .unwrap();
        assert_eq!(user.identity.token_identifier(), format!("{issuer}|user"));
    }
    let plain = ES256.token("es", &but(&claims, "iss", json!("http://own.example")));
    assert_eq!(custom.refusal(&plain).await, "NoAuthProvider");
}

#[tokio::test]
async fn first_provider_with_the_issuer_and_audience_is_used() {
    let provider = |application: &str, key: Json| {
        json!({"type": "customJwt", "issuer": "own.example", "applicationID": application, "algorithm": "ES256",
            "jwks": jwks(&[key])})
    };
    let other = Signer::es256();
    let providers = [
        provider("other", other.jwk("es")),
        provider("app", ES256.jwk("es")),
    ];
    let fixture = Fixture::new(&json!({ "providers": providers }));
    fixture
        .verify(&ES256.token("es", &claims("https://own.example")))
        .await
        .unwrap();
    let for_both = but(
        &claims("https://own.example"),
        "aud",
        json!(["app", "other"]),
    );
    fixture.verify(&other.token("es", &for_both)).await.unwrap();
    assert_eq!(
        fixture.refusal(&ES256.token("es", &for_both)).await,
        "InvalidAuthHeader"
    );
}

#[tokio::test]
async fn named_key_must_exist() {
    let (oidc, oidc_claims) = oidc().await;
    let (custom, custom_claims) = custom("ES256", all_keys());
    for kid in ["other", ""] {
        let header = json!({"alg": "ES256", "kid": kid});
        assert_eq!(
            oidc.refusal(&ES256.token_with(&header, &oidc_claims)).await,
            "Unauthenticated"
        );
        assert_eq!(
            custom
                .refusal(&ES256.token_with(&header, &custom_claims))
                .await,
            "InvalidAuthHeader"
        );
    }
    let number = json!({"alg": "ES256", "kid": 1});
    assert_eq!(
        oidc.refusal(&ES256.token_with(&number, &oidc_claims)).await,
        "InvalidAuthHeader"
    );
}

/// Returns a token of this key without a key id.
fn unnamed(key: &Signer, claims: &Json) -> String {
    key.token_with(&json!({"alg": key.algorithm()}), claims)
}

#[tokio::test]
async fn token_without_a_kid_is_verified_with_the_only_key_of_its_algorithm() {
    let (oidc, oidc_claims) = oidc().await;
    for key in [&*RS256, &*ES256, &*EDDSA] {
        oidc.verify(&unnamed(key, &oidc_claims)).await.unwrap();
        let (custom, claims) = custom(key.algorithm(), all_keys());
        custom.verify(&unnamed(key, &claims)).await.unwrap();
        // The published key may also lack an id, as with `@convex-dev/auth`.
        let nameless = jwks(&[but(&key.jwk(""), "kid", Json::Null)]);
        let (custom, claims) = self::custom(key.algorithm(), nameless);
        custom.verify(&unnamed(key, &claims)).await.unwrap();
        assert_eq!(
            custom.refusal(&key.token("other", &claims)).await,
            "InvalidAuthHeader"
        );
    }
    let stranger = Signer::es256();
    let forged = unnamed(&stranger, &oidc_claims);
    assert_eq!(oidc.refusal(&forged).await, "Unauthenticated");
}

#[tokio::test]
async fn token_without_a_kid_is_refused_unless_one_key_has_its_algorithm() {
    let several = jwks(&[
        ES256.jwk("one"),
        Signer::es256().jwk("two"),
        RS256.jwk("rs"),
    ]);
    let provider = Provider::start(&several).await;
    let oidc = Fixture::oidc(&provider);
    let oidc_claims = claims(&provider.issuer());
    let (custom, custom_claims) = custom("ES256", several);
    let token = unnamed(&ES256, &oidc_claims);
    assert_eq!(oidc.refusal(&token).await, "Unauthenticated");
    let token = unnamed(&ES256, &custom_claims);
    assert_eq!(custom.refusal(&token).await, "InvalidAuthHeader");
    oidc.verify(&ES256.token("one", &oidc_claims))
        .await
        .unwrap();
    oidc.verify(&unnamed(&RS256, &oidc_claims)).await.unwrap();
    let none = unnamed(&EDDSA, &oidc_claims);
    assert_eq!(oidc.refusal(&none).await, "Unauthenticated");
}

#[tokio::test]
async fn keys_for_other_uses_do_not_verify_a_token_without_a_kid() {
    let other = Signer::es256();
    let unfit = |name, value| but(&other.jwk("other"), name, value);
    let keys = [
        ES256.jwk("es"),
        unfit("use", json!("enc")),
        unfit("key_ops", json!(["sign"])),
        unfit("key_ops", json!([])),
        unfit("alg", json!("ES384")),
    ];
    let (custom, claims) = custom("ES256", jwks(&keys));
    custom.verify(&unnamed(&ES256, &claims)).await.unwrap();
    let forged = unnamed(&other, &claims);
    assert_eq!(custom.refusal(&forged).await, "InvalidAuthHeader");
    let fit = but(&ES256.jwk("es"), "key_ops", json!(["verify"]));
    let (custom, claims) = self::custom("ES256", jwks(&[fit]));
    custom.verify(&unnamed(&ES256, &claims)).await.unwrap();
}

#[tokio::test]
async fn token_cannot_choose_the_algorithm() {
    let (oidc, oidc_claims) = oidc().await;
    let (custom, custom_claims) = custom("RS256", all_keys());
    for (fixture, claims) in [(&oidc, &oidc_claims), (&custom, &custom_claims)] {
        for none in ["none", "None", "NONE", ""] {
            let message = unsigned(&json!({"alg": none, "kid": "rs"}), claims);
            assert_eq!(
                fixture.refusal(&format!("{message}.")).await,
                "InvalidAuthHeader"
            );
        }
        let header = json!({"alg": "HS256", "kid": "rs"});
        let jwk = RS256.jwk("rs");
        for secret in [
            RS256.public_der(),
            jwk["n"].as_str().unwrap().into(),
            jwk.to_string().into_bytes(),
            Vec::new(),
        ] {
            assert_eq!(
                fixture.refusal(&hs256(&secret, &header, claims)).await,
                "InvalidAuthHeader"
            );
        }
    }
    // The key exists and the signature is valid, but the provider has another algorithm.
    assert_eq!(
        custom.refusal(&ES256.token("es", &custom_claims)).await,
        "InvalidAuthHeader"
    );
    // The header names an algorithm and a key of another type.
    let confused = RS256.token_with(&json!({"alg": "ES256", "kid": "rs"}), &oidc_claims);
    assert_eq!(oidc.refusal(&confused).await, "Unauthenticated");
    let hmac_as_rsa = hs256(
        &RS256.public_der(),
        &json!({"alg": "RS256", "kid": "rs"}),
        &oidc_claims,
    );
    assert_eq!(oidc.refusal(&hmac_as_rsa).await, "Unauthenticated");
}

#[tokio::test]
async fn key_is_used_only_as_its_fields_allow() {
    let unfit = [
        but(&ES256.jwk("es"), "use", json!("enc")),
        but(&ES256.jwk("es"), "alg", json!("ES384")),
        but(&ES256.jwk("es"), "crv", json!("P-384")),
        but(&RS256.jwk("es"), "alg", json!("PS256")),
        json!({"kty": "oct", "kid": "es", "k": "c2VjcmV0"}),
        json!("no key"),
    ];
    let keys = jwks(&[&unfit[..], &[EDDSA.jwk("ed")]].concat());
    let provider = Provider::start(&keys).await;
    let oidc = Fixture::oidc(&provider);
    let claims = claims(&provider.issuer());
    assert_eq!(
        oidc.refusal(&ES256.token("es", &claims)).await,
        "Unauthenticated"
    );
    assert_eq!(
        oidc.refusal(&RS256.token("es", &claims)).await,
        "Unauthenticated"
    );
    oidc.verify(&EDDSA.token("ed", &claims)).await.unwrap();
}

#[tokio::test]
async fn keys_of_different_types_may_share_an_id() {
    let (custom, claims) = custom(
        "EdDSA",
        jwks(&[RS256.jwk("k"), Signer::es256().jwk("k"), EDDSA.jwk("k")]),
    );
    custom.verify(&EDDSA.token("k", &claims)).await.unwrap();
}

#[tokio::test]
async fn malformed_tokens_are_refused() {
    let (oidc, claims) = oidc().await;
    let good = ES256.token("es", &claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let garbage = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "\0\u{fffd}.ä.ö".to_owned(),
        format!("{good}.{signature}"),
        format!("{header}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!(" {good}"),
        format!("{header}.{}.{signature}", base64(b"[]")),
        format!(
            "{header}.{}.{signature}",
            base64("[".repeat(40_000).as_bytes())
        ),
        format!("{}.{payload}.{signature}", base64(br#"{"alg":["ES256"]}"#)),
        "a".repeat(1 << 20),
        format!("{message}.{}", "A".repeat(1 << 20)),
    ];
    for token in garbage {
        assert_eq!(oidc.refusal(&token).await, "InvalidAuthHeader");
    }
    let critical = json!({"alg": "ES256", "kid": "es", "crit": ["b64"], "b64": true});
    assert_eq!(
        oidc.refusal(&ES256.token_with(&critical, &claims)).await,
        "InvalidAuthHeader"
    );
    oidc.verify(&good).await.unwrap();
}

#[tokio::test]
async fn issuer_subject_and_expiry_are_required() {
    let (oidc, claims) = oidc().await;
    for name in ["iss", "sub", "exp"] {
        for claim in [Json::Null, json!(""), json!([1]), json!({})] {
            assert_eq!(
                oidc.refusal(&ES256.token("es", &but(&claims, name, claim)))
                    .await,
                "InvalidAuthHeader"
            );
        }
    }
    assert_eq!(
        oidc.refusal(&ES256.token("es", &but(&claims, "nbf", json!("now"))))
            .await,
        "InvalidAuthHeader"
    );
}
