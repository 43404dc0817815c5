use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Result};

use crate::attributes::{misplaced, refuse_generics};
use crate::fields::{self, Field};
use crate::misuse::Misuse;
use crate::union;

/// The bodies of the three methods of a `ValueType`.
pub(crate) struct Bodies {
    pub(crate) validator: TokenStream,
    pub(crate) into: TokenStream,
    pub(crate) from: TokenStream,
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    refuse_generics(input, "ValueType")?;
    misplaced(&input.attrs, "rename", "above a field or a variant, not above the type")?;
    let Bodies { validator, into, from } = match &input.data {
        Data::Struct(data) => {
            misplaced(&input.attrs, "tag", "on an enum, whose variants it tells apart")?;
            object(&fields::named(&data.fields, &input.ident, "ValueType")?)
        }
        Data::Enum(data) => union::bodies(input, data)?,
        Data::Union(_) => return Err(Misuse::NoStructOrEnum.at(&input.ident)),
    };
    let name = &input.ident;
    Ok(quote! {
        impl ::lentil::__derive::ValueType for #name {
            fn validator() -> ::lentil::__derive::Validator {
                #validator
            }

            fn into_value(self) -> ::lentil::__derive::Value {
                #into
            }

            fn from_value(
                value: ::lentil::__derive::Value,
            ) -> ::core::result::Result<Self, ::lentil::__derive::DecodeError> {
                #from
            }
        }
    })
}

fn object(fields: &[Field<'_>]) -> Bodies {
    let validators = fields::validators(fields);
    let object = fields::into_object(fields, &quote!(self.), None);
    let from = fields::from_object(fields, &quote!(Self));
    Bodies {
        validator: quote!(::lentil::__derive::v::object(#validators)),
        into: quote!(::lentil::__derive::Value::Object(#object)),
        from: quote! {
            let mut object = <::lentil::__derive::Object as ::lentil::__derive::ValueType>::from_value(value)?;
            #from
        },
    }
}
