use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use serde_json::Value as Json;

use super::token::Token;

/// What tokens may be signed with: each is of another kind of key, so that a key has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSA (PKCS #1 v1.5) with SHA-256; keys have 2048 bits at least.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The algorithm of this name in headers, keys and the configuration.
    pub(super) fn named(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }

    fn of(key: &Jwk) -> Option<Algorithm> {
        match &key.algorithm {
            AlgorithmParameters::RSA(_) => Some(Algorithm::Rs256),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Some(Algorithm::Es256)
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Some(Algorithm::EdDsa)
            }
            _ => None,
        }
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
        match algorithm {
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// A provider's public keys.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a JWKS, `{"keys": […]}`. Keys that cannot verify tokens, or have no `kid` to be named by, are left out.
    ///
    /// # Errors
    /// When it is no JWKS.
    pub(super) fn parse(jwks: &Json) -> Result<KeySet, &'static str> {
        let keys = jwks
            .get("keys")
            .and_then(Json::as_array)
            .ok_or("no JWKS: {\"keys\": […]}")?;
        Ok(KeySet(keys.iter().filter_map(Key::parse).collect()))
    }

    /// Whether there is a key for tokens of these algorithms.
    pub(super) fn can_verify(&self, accepts: impl Fn(Algorithm) -> bool) -> bool {
        self.0.iter().any(|key| accepts(key.algorithm))
    }

    /// Whether there is a key of this name.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// Whether the key of this name is there, is for the token's algorithm, and made the token's signature.
    pub(super) fn verify(&self, token: &Token<'_>, key_id: &str) -> Result<(), &'static str> {
        if !self.knows(key_id) {
            return Err("its provider has no key of the name in its header (`kid`)");
        }
        // Names need not be unique among keys of different kinds.
        let is_meant = |key: &&Key| key.id == key_id && key.algorithm == token.algorithm;
        let mut keys = self.0.iter().filter(is_meant).peekable();
        keys.peek()
            .ok_or("its algorithm (`alg`) is not the one of the key that it names")?;
        if keys.any(|key| key.made_signature_of(token)) {
            Ok(())
        } else {
            Err("its signature is wrong")
        }
    }
}

impl Key {
    fn parse(jwk: &Json) -> Option<Key> {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
        let algorithm = Algorithm::of(&jwk)?;
        let is_for_it = |named: KeyAlgorithm| {
            named == KeyAlgorithm::from(jsonwebtoken::Algorithm::from(algorithm))
        };
        let verifies = jwk
            .common
            .public_key_use
            .as_ref()
            .is_none_or(|its_use| *its_use == PublicKeyUse::Signature);
        if !verifies || !jwk.common.key_algorithm.is_none_or(is_for_it) {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Key {
            id: jwk.common.key_id?,
            algorithm,
            key,
        })
    }

    fn made_signature_of(&self, token: &Token<'_>) -> bool {
        let (signature, message) = (token.signature, token.message.as_bytes());
        jsonwebtoken::crypto::verify(signature, message, &self.key, self.algorithm.into())
            .unwrap_or(false)
    }
}
