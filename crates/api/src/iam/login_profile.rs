//! Login profiles: that a user has a password. There is no console to use it in, so it is
//! checked and forgotten.

use super::error::{Result, already_exists, no_such_entity};
use super::identity::{self, modify};
use super::user;
use crate::Ctx;
use model::iam_user::{Login, User};
use serde::{Deserialize, Serialize};
use wire::{ApiError, Timestamp};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutLoginProfile {
    user_name: String,
    #[serde(default, deserialize_with = "wire::validated")]
    password: Option<String>,
    password_reset_required: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OneLoginProfile {
    login_profile: Shape,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape {
    user_name: String,
    create_date: Timestamp,
    password_reset_required: bool,
}

fn shape(user: &User) -> Result<OneLoginProfile> {
    let login = user.login.as_ref().ok_or_else(|| not_found(&user.name))?;
    Ok(OneLoginProfile {
        login_profile: Shape {
            user_name: user.name.clone(),
            create_date: login.created.into(),
            password_reset_required: login.reset_required,
        },
    })
}

fn not_found(user: &str) -> ApiError {
    no_such_entity(format!("Login Profile for User {user} cannot be found."))
}

/// By the account's password policy, or AWS's default: eight characters.
fn check_password(ctx: &Ctx, password: &str) -> Result<()> {
    let policy = super::account::password_policy(ctx);
    let least = policy.as_ref().map_or(8, |p| p.minimum_length) as usize;
    let has = |wanted: bool, kind: fn(char) -> bool| !wanted || password.chars().any(kind);
    let fits = policy.is_none_or(|p| {
        has(p.numbers, |c| c.is_ascii_digit())
            && has(p.symbols, |c| c.is_ascii_punctuation())
            && has(p.uppercase, |c| c.is_ascii_uppercase())
            && has(p.lowercase, |c| c.is_ascii_lowercase())
    });
    if !(least..=128).contains(&password.chars().count()) || !fits {
        return Err(ApiError::client(
            "PasswordPolicyViolation",
            "Password does not conform to the account password policy.",
        ));
    }
    Ok(())
}

pub fn create(ctx: &mut Ctx, input: PutLoginProfile) -> Result<OneLoginProfile> {
    let Some(password) = &input.password else {
        return Err(super::error::invalid(
            "This cloud gives out no temporary passwords: the member password is required.",
        ));
    };
    let user = identity::find::<User>(ctx, &input.user_name)?;
    if user.login.is_some() {
        return Err(already_exists(format!(
            "Login Profile for user {} already exists.",
            user.name
        )));
    }
    check_password(ctx, password)?;
    let now = ctx.now;
    modify::<User>(ctx, &input.user_name, |user| {
        user.login = Some(Login {
            created: now,
            reset_required: input.password_reset_required.unwrap_or(false),
        });
        Ok(())
    })?;
    shape(&*identity::find::<User>(ctx, &input.user_name)?)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoginProfileOf {
    user_name: Option<String>,
}

pub fn get(ctx: &mut Ctx, input: LoginProfileOf) -> Result<OneLoginProfile> {
    shape(&*user::named_or_caller(ctx, input.user_name.as_deref())?)
}

pub fn update(ctx: &mut Ctx, input: PutLoginProfile) -> Result<()> {
    shape(&*identity::find::<User>(ctx, &input.user_name)?)?;
    if let Some(password) = &input.password {
        check_password(ctx, password)?;
    }
    modify::<User>(ctx, &input.user_name, |user| {
        let login = user.login.as_mut().ok_or_else(|| not_found(&user.name))?;
        if let Some(required) = input.password_reset_required {
            login.reset_required = required;
        }
        Ok(())
    })
}

pub fn delete(ctx: &mut Ctx, input: LoginProfileOf) -> Result<()> {
    let user = user::named_or_caller(ctx, input.user_name.as_deref())?;
    shape(&user)?;
    modify::<User>(ctx, &user.name, |user| {
        user.login = None;
        Ok(())
    })
}
