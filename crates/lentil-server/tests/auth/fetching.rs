use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::fixture::{Fixture, all_keys, but, claims};
use crate::keys::{ES256, Signer, jwks};
use crate::provider::{DISCOVERY, JWKS, Provider};

/// Starts a provider with one key, and signs a token that is valid for a day.
async fn provider() -> (Provider, String) {
    let provider = Provider::start(&jwks(&[ES256.jwk("es")])).await;
    let token = ES256.token("es", &lasting(&provider));
    (provider, token)
}

fn lasting(provider: &Provider) -> serde_json::Value {
    but(
        &claims(&provider.issuer()),
        "exp",
        json!(crate::fixture::NOW_S + 86_400),
    )
}

#[tokio::test]
async fn concurrent_verifications_share_a_fetch() {
    let (provider, token) = provider().await;
    provider.takes(Duration::from_millis(50));
    let fixture = Fixture::oidc(&provider);
    let verified = join_all((0..50).map(|_| fixture.verify(&token))).await;
    assert!(verified.iter().all(Result::is_ok));
    fixture.verify(&token).await.unwrap();
    assert_eq!((provider.asked(DISCOVERY), provider.asked(JWKS)), (1, 1));
}

#[tokio::test]
async fn cancelled_verification_does_not_cancel_the_fetch() {
    let (provider, token) = provider().await;
    provider.takes(Duration::from_millis(50));
    let fixture = Fixture::oidc(&provider);
    tokio::time::timeout(Duration::from_millis(10), fixture.verify(&token))
        .await
        .expect_err("it takes longer");
    fixture.advance_s(20);
    fixture.verify(&token).await.unwrap();
    assert_eq!(provider.asked(JWKS), 1);
}

#[tokio::test]
async fn rotated_key_is_fetched_once() {
    let (provider, token) = provider().await;
    let fixture = Fixture::oidc(&provider);
    fixture.verify(&token).await.unwrap();
    fixture.advance_s(11);
    let next = Signer::es256();
    provider.publish(&jwks(&[next.jwk("next")]));
    let rotated = next.token("next", &lasting(&provider));
    let verified = join_all((0..20).map(|_| fixture.verify(&rotated))).await;
    assert!(verified.iter().all(Result::is_ok));
    assert_eq!(provider.asked(JWKS), 2);
    assert_eq!(fixture.refusal(&token).await, "Unauthenticated");
}

#[tokio::test]
async fn replaced_key_is_fetched_for_tokens_without_a_kid() {
    let (provider, _) = provider().await;
    let fixture = Fixture::oidc(&provider);
    let unnamed = |key: &Signer| key.token_with(&json!({"alg": "ES256"}), &lasting(&provider));
    fixture.verify(&unnamed(&ES256)).await.unwrap();
    let next = Signer::es256();
    provider.publish(&jwks(&[next.jwk("es")]));
    for _ in 0..20 {
        let refusal = fixture.refusal(&unnamed(&next)).await;
        assert_eq!(refusal, "Unauthenticated");
    }
    assert_eq!(provider.asked(JWKS), 1);
    fixture.advance_s(10);
    let rotated = unnamed(&next);
    let verified = join_all((0..20).map(|_| fixture.verify(&rotated))).await;
    assert!(verified.iter().all(Result::is_ok));
    assert_eq!(provider.asked(JWKS), 2);
    assert_eq!(fixture.refusal(&unnamed(&ES256)).await, "Unauthenticated");
}

#[tokio::test]
async fn unknown_keys_cause_one_fetch_per_ten_seconds() {
    let (provider, token) = provider().await;
    let fixture = Fixture::custom(&provider, "ES256");
    let refuse = async |times| {
        for index in 0..times {
            let unknown = ES256.token(&format!("unknown-{index}"), &lasting(&provider));
            assert_eq!(fixture.refusal(&unknown).await, "InvalidAuthHeader");
        }
    };
    refuse(20).await;
    assert_eq!(provider.asked(JWKS), 1);
    fixture.advance_s(9);
    refuse(20).await;
    assert_eq!(provider.asked(JWKS), 1);
    fixture.advance_s(1);
    refuse(20).await;
    assert_eq!(provider.asked(JWKS), 2);
    fixture.verify(&token).await.unwrap();
}

#[tokio::test]
async fn token_that_is_refused_anyway_causes_no_fetch() {
    let (provider, _) = provider().await;
    let fixture = Fixture::custom(&provider, "ES256");
    let expired = ES256.token("es", &but(&lasting(&provider), "exp", json!(1)));
    assert_eq!(fixture.refusal(&expired).await, "InvalidAuthHeader");
    assert_eq!(
        fixture
            .refusal(&crate::keys::EDDSA.token("es", &lasting(&provider)))
            .await,
        "InvalidAuthHeader"
    );
    assert_eq!(provider.asked(JWKS), 0);
}

#[tokio::test]
async fn keys_are_cached_for_ten_minutes_or_the_shorter_max_age() {
    for (headers, kept_s) in [
        ("", 600),
        ("cache-control: max-age=60\r\n", 60),
        ("cache-control: max-age=9999\r\n", 600),
    ] {
        let (provider, token) = provider().await;
        provider.serve(JWKS, 200, headers, &all_keys().to_string());
        let fixture = Fixture::oidc(&provider);
        fixture.verify(&token).await.unwrap();
        fixture.advance_s(kept_s - 1);
        fixture.verify(&token).await.unwrap();
        assert_eq!(provider.asked(JWKS), 1, "{headers}");
        fixture.advance_s(1);
        fixture.verify(&token).await.unwrap();
        assert_eq!(provider.asked(JWKS), 2, "{headers}");
    }
}

#[tokio::test]
async fn withdrawn_key_is_refused_once_the_keys_are_old() {
    let (provider, token) = provider().await;
    let fixture = Fixture::oidc(&provider);
    fixture.verify(&token).await.unwrap();
    provider.publish(&jwks(&[]));
    fixture.advance_s(600);
    assert_eq!(fixture.refusal(&token).await, "Unauthenticated");
}

#[tokio::test]
async fn last_keys_are_used_while_the_provider_is_down() {
    let (provider, token) = provider().await;
    let fixture = Fixture::oidc(&provider);
    fixture.verify(&token).await.unwrap();
    provider.fail();
    fixture.advance_s(3_600);
    for _ in 0..10 {
        fixture.verify(&token).await.unwrap();
    }
    assert_eq!(provider.asked(DISCOVERY), 2);
}

#[tokio::test]
async fn hanging_provider_delays_one_verification() {
    let (provider, token) = provider().await;
    let fixture = Fixture::oidc(&provider);
    fixture.verify(&token).await.unwrap();
    provider.takes(Duration::from_secs(3_600));
    fixture.advance_s(3_600);
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    fixture.verify(&token).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 5);
    for _ in 0..10 {
        fixture.advance_s(10);
        fixture.verify(&token).await.unwrap();
    }
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn failing_provider_without_keys_is_unavailable_and_not_a_bad_token() {
    let (provider, token) = provider().await;
    provider.fail();
    let fixture = Fixture::oidc(&provider);
    for _ in 0..5 {
        assert_eq!(fixture.refusal(&token).await, "AuthProviderDiscoveryFailed");
    }
    assert_eq!(provider.asked(DISCOVERY), 1);
    let discovery = json!({"issuer": provider.issuer(), "jwks_uri": provider.url(JWKS)});
    provider.serve(DISCOVERY, 200, "", &discovery.to_string());
    provider.publish(&all_keys());
    fixture.advance_s(10);
    fixture.verify(&token).await.unwrap();
}

/// Returns the code with which a token is refused if the provider serves this response.
async fn refusal(path: &str, status: u16, headers: &str, body: &str) -> &'static str {
    let (provider, token) = provider().await;
    provider.serve(path, status, headers, body);
    Fixture::oidc(&provider).refusal(&token).await
}

#[tokio::test]
async fn invalid_jwks_is_not_used() {
    const FAILED: &str = "AuthProviderDiscoveryFailed";
    for body in ["no JSON", "[]", "{}", r#"{"keys": {}}"#] {
        assert_eq!(refusal(JWKS, 200, "", body).await, FAILED);
        assert_eq!(refusal(DISCOVERY, 200, "", body).await, FAILED);
    }
    let keys = all_keys().to_string();
    assert_eq!(refusal(JWKS, 404, "", &keys).await, FAILED);
    assert_eq!(
        refusal(JWKS, 200, "", &format!("{keys}{}", " ".repeat(1 << 20))).await,
        FAILED
    );
    let published = Provider::start(&all_keys()).await;
    let elsewhere = format!("location: {}\r\n", published.url(JWKS));
    assert_eq!(refusal(JWKS, 302, &elsewhere, &keys).await, FAILED);
    let other = json!({"issuer": published.issuer(), "jwks_uri": published.url(JWKS)});
    assert_eq!(
        refusal(DISCOVERY, 200, "", &other.to_string()).await,
        FAILED
    );
    assert_eq!(published.asked(JWKS), 0);
}

#[tokio::test]
async fn configuration_cannot_lead_to_plain_http_on_other_hosts() {
    let (provider, token) = provider().await;
    // The name resolves to this machine, but it is not a loopback address.
    let plain = provider.url(JWKS).replace("127.0.0.1", "0.0.0.0");
    let configuration = json!({"issuer": provider.issuer(), "jwks_uri": plain});
    provider.serve(DISCOVERY, 200, "", &configuration.to_string());
    assert_eq!(
        Fixture::oidc(&provider).refusal(&token).await,
        "AuthProviderDiscoveryFailed"
    );
    assert_eq!(provider.asked(JWKS), 0);
}

#[tokio::test]
async fn https_urls_are_never_fetched_in_the_clear() {
    let (provider, token) = provider().await;
    let issuer = provider.issuer();
    let jwks = provider.url(JWKS).replace("http://", "https://");
    let custom = json!({"type": "customJwt", "issuer": issuer, "jwks": jwks, "algorithm": "ES256"});
    let fixture = Fixture::new(&json!({ "providers": [custom] }));
    assert_eq!(fixture.refusal(&token).await, "AuthProviderDiscoveryFailed");
    assert_eq!(provider.asked(JWKS), 0);
}
