use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Result};

use crate::attributes::refuse_generics;
use crate::fields::{self, Field};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    refuse_generics(input, "Args")?;
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new_spanned(input, "derive(Args) goes on a struct: one field for each argument"));
    };
    let fields = fields::named(&data.fields, input, "Args")?;
    let name = &input.ident;
    let (into, from) = object_conversions(&fields);
    let validators = fields::validators(&fields);
    Ok(quote! {
        impl ::lentil::__derive::Args for #name {
            fn validator() -> ::lentil::__derive::ObjectValidator {
                ::lentil::__derive::ObjectValidator::new(#validators)
            }

            fn into_object(self) -> ::lentil::__derive::Object {
                #into
            }

            fn from_object(
                mut object: ::lentil::__derive::Object,
            ) -> ::core::result::Result<Self, ::lentil::__derive::DecodeError> {
                #from
            }
        }

        impl ::lentil::__derive::IntoArgs<#name> for #name {
            fn into_args(
                self,
            ) -> ::core::result::Result<::lentil::__derive::Object, ::lentil::__derive::DecodeError> {
                Ok(::lentil::__derive::Args::into_object(self))
            }
        }
    })
}

/// The bodies that turn a struct into an object, and an object into the struct.
pub(crate) fn object_conversions(fields: &[Field<'_>]) -> (TokenStream, TokenStream) {
    let capacity = fields.len();
    let puts = fields::puts(fields, &quote!(self.));
    let takes = fields::takes(fields);
    let into = quote! {
        let mut fields = ::std::vec::Vec::with_capacity(#capacity);
        #puts
        fields.into_iter().collect()
    };
    let from = quote! {
        let read = Self { #takes };
        ::lentil::__derive::nothing_left(&object)?;
        Ok(read)
    };
    (into, from)
}
