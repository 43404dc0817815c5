use lentil_runtime::{UserIdentity, Value};
use serde_json::{Value as Json, json};

use crate::fixture::{Fixture, all_keys, claims};
use crate::keys::ES256;
use crate::provider::Provider;

fn with(claims: Json, further: &Json) -> Json {
    let mut claims = claims;
    claims
        .as_object_mut()
        .unwrap()
        .extend(further.as_object().unwrap().clone());
    claims
}

async fn oidc(further: Json) -> UserIdentity {
    let provider = Provider::start(&all_keys()).await;
    let token = ES256.token("es", &with(claims(&provider.issuer()), &further));
    Fixture::oidc(&provider)
        .verify(&token)
        .await
        .unwrap()
        .identity
}

async fn custom(further: Json) -> UserIdentity {
    let provider = Provider::start(&all_keys()).await;
    let token = ES256.token("es", &with(claims(&provider.issuer()), &further));
    Fixture::custom(&provider, "ES256")
        .verify(&token)
        .await
        .unwrap()
        .identity
}

/// Asserts that the identity has these attributes and the three that every identity has.
#[track_caller]
fn assert_attributes(identity: &UserIdentity, expected: Json) {
    let mut attributes = identity.attributes().clone();
    for name in ["issuer", "subject", "tokenIdentifier"] {
        assert!(
            attributes
                .remove(name)
                .is_some_and(|value| value.as_str().is_some()),
            "{name}"
        );
    }
    assert_eq!(Value::from(attributes), Value::from_json(expected).unwrap());
}

#[tokio::test]
async fn oidc_claims_get_convex_names() {
    let identity = oidc(json!({
        "name": "Ada", "given_name": "A", "family_name": "L", "nickname": "n", "preferred_username": "ada",
        "profile": "p", "picture": "q", "website": "w", "email": "a@b", "email_verified": true, "gender": "f",
        "birthdate": "1815-12-10", "zoneinfo": "Europe/London", "locale": "en", "phone_number": "1",
        "phone_number_verified": "false", "address": {"formatted": "London", "country": "UK"},
        "updated_at": 1_700_000_000,
        "jti": "j", "nbf": 1, "fva": [1, -1], "iat": 1, "org": {"id": 7, "tags": ["x"]}, "azp": "app",
    }));
    let expected = json!({
        "name": "Ada", "givenName": "A", "familyName": "L", "nickname": "n", "preferredUsername": "ada",
        "profileUrl": "p", "pictureUrl": "q", "websiteUrl": "w", "email": "a@b", "emailVerified": true, "gender": "f",
        "birthday": "1815-12-10", "timezone": "Europe/London", "language": "en", "phoneNumber": "1",
        "phoneNumberVerified": false, "address": "London", "updatedAt": "2023-11-14T22:13:20+00:00",
        "org": {"id": 7, "tags": ["x"]}, "azp": "app",
    });
    assert_attributes(&identity.await, expected);
}

#[tokio::test]
async fn invalid_claims_are_skipped() {
    let identity = oidc(json!({
        "$admin": true, "rôle": "x", "ok": 1, "deep": {"$in": 1}, "name": null, "email": 7, "email_verified": "maybe",
        "address": {"country": "UK"}, "updated_at": 1e300, "issuer": "me", "subject": "me", "tokenIdentifier": "me",
    }));
    let identity = identity.await;
    assert_attributes(&identity, json!({"ok": 1}));
    assert_eq!(identity.subject(), "user");
    assert_ne!(identity.issuer(), "me");
}

#[tokio::test]
async fn no_claim_replaces_a_standard_one() {
    let identity = oidc(
        json!({"emailVerified": true, "email_verified": false, "given_name": "A", "givenName": "B"}),
    );
    assert_attributes(
        &identity.await,
        json!({"emailVerified": false, "givenName": "A"}),
    );
}

#[tokio::test]
async fn custom_claims_are_flattened_and_keep_their_names() {
    let identity = custom(json!({
        "given_name": "A", "email_verified": "true", "a": {"b": {"c": 1}, "d": [{"e": 2}]}, "empty": {},
        "nothing": null, "jti": "j", "nbf": 1, "fva": [1], "iat": 1, "$x": 1, "y": {"ü": 1, "z": true}, "subject": "me",
    }));
    let expected = json!({
        "given_name": "A", "email_verified": "true", "a.b.c": 1, "a.d": [{"e": 2}], "nothing": null, "y.z": true,
    });
    assert_attributes(&identity.await, expected);
}

#[tokio::test]
async fn flattened_claims_are_bounded() {
    let many: serde_json::Map<_, _> = (0..3_000).map(|n| (n.to_string(), n.into())).collect();
    let identity = custom(json!({ "long".repeat(200): many })).await;
    assert_eq!(identity.attributes().len(), 1_024);
    assert_eq!(identity.subject(), "user");
}
