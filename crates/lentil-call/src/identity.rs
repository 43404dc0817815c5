use std::sync::Arc;

use lentil_values::{FieldName, JsonForm, NameError, Object, Value};

use crate::Visibility;

/// A signed-in user, as a token that was verified describes them: what `ctx.auth.user_identity()` returns.
///
/// `issuer`, `subject` and `tokenIdentifier` (`<issuer>|<subject>`) are always there; `name`, `email` and whatever
/// else the token claims are there when it claims them. Two identities with equal attributes are the same user.
#[derive(Clone, Debug, PartialEq)]
pub struct UserIdentity {
    attributes: Object,
}

impl UserIdentity {
    /// The user whom `issuer` knows as `subject`.
    pub fn new(issuer: &str, subject: &str) -> UserIdentity {
        let mut attributes = Object::new();
        attributes.insert(FieldName::from_static("issuer"), Value::from(issuer));
        attributes.insert(FieldName::from_static("subject"), Value::from(subject));
        let identifier = format!("{issuer}|{subject}");
        attributes.insert(
            FieldName::from_static("tokenIdentifier"),
            Value::from(identifier),
        );
        UserIdentity { attributes }
    }

    /// With a further attribute; the three that every identity has cannot be replaced.
    ///
    /// # Errors
    /// When `name` is no field name.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Result<UserIdentity, NameError> {
        let field = FieldName::new(name.to_owned())?;
        if !matches!(name, "issuer" | "subject" | "tokenIdentifier") {
            self.attributes.insert(field, value.into());
        }
        Ok(self)
    }

    /// Who vouches for the user, e.g. `https://login.example.com`.
    pub fn issuer(&self) -> &str {
        self.text("issuer")
    }

    /// What the issuer calls the user.
    pub fn subject(&self) -> &str {
        self.text("subject")
    }

    /// `<issuer>|<subject>`: the one attribute to key users by.
    pub fn token_identifier(&self) -> &str {
        self.text("tokenIdentifier")
    }

    /// An attribute, e.g. `email`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.attributes.get(name)
    }

    /// Every attribute.
    pub fn attributes(&self) -> &Object {
        &self.attributes
    }

    fn text(&self, name: &str) -> &str {
        self.attributes
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// On whose behalf a call is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Identity {
    /// Nobody has signed in.
    #[default]
    Anonymous,
    /// A user whose token was verified.
    User(Arc<UserIdentity>),
    /// Who came with the administrator's key: may call internal functions, and act as a user.
    Admin {
        /// The user that functions see.
        acting_as: Option<Arc<UserIdentity>>,
    },
}

impl Identity {
    /// The user that functions see.
    pub fn user(&self) -> Option<&UserIdentity> {
        match self {
            Identity::Anonymous => None,
            Identity::User(user) => Some(user),
            Identity::Admin { acting_as } => acting_as.as_deref(),
        }
    }

    /// Returns whether it came with the administrator's key.
    pub fn is_admin(&self) -> bool {
        matches!(self, Identity::Admin { .. })
    }

    /// Returns its name in Convex's log.
    pub fn name(&self) -> &'static str {
        match self {
            Identity::Anonymous => "unknown",
            Identity::User(_) => "user",
            Identity::Admin { acting_as: None } => "instance_admin",
            Identity::Admin { acting_as: Some(_) } => "member_acting_user",
        }
    }

    /// A text that is equal for the same user and different for others.
    pub fn key(&self) -> Arc<str> {
        self.user().map_or_else(Arc::default, |user| {
            user.attributes.to_json(JsonForm::Encoded).into()
        })
    }

    /// The functions that it finds: internal ones are the administrator's.
    pub fn visibility(&self) -> Visibility {
        if self.is_admin() {
            Visibility::Internal
        } else {
            Visibility::Public
        }
    }
}
