"""The page on which a person signs in: plain HTML, without scripts and without anything from elsewhere."""

from html import escape

from hwdash.server.answer_headers import page_headers

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:3rem auto;padding:0 1rem;color:#1b1b1b}"
    "label{display:block;margin:1rem 0 .25rem;font-weight:600}"
    "input{box-sizing:border-box;width:100%;font:inherit;padding:.5rem;border:1px solid #595959;border-radius:.25rem}"
    "button{font:inherit;margin:1.5rem .5rem 0 0;padding:.5rem 1rem;border:1px solid #0b5394;border-radius:.25rem;"
    "background:#0b5394;color:#fff}button.no{background:#fff;color:#0b5394}"
    "[role=alert]{border-left:.25rem solid #b00020;padding:.25rem .75rem}"
)

HEADERS = page_headers(_STYLE, has_form=True)


def form_page(token: str, *, code: str = "", login: str = "", problem: str = "", new_password: bool = False) -> str:
    """The form. ``token`` is against forged requests; ``new_password`` asks for one in place of a one-time password."""
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    more = (
        _field("new_password", "New password, 12 characters or more", kind="password", hint="new-password")
        + _field("new_password_again", "The new password once more", kind="password", hint="new-password")
        if new_password
        else ""
    )
    return _page(
        f"{alert}<p>Enter the code that your own terminal shows. If somebody else gave you a code, do not go on: they "
        "would act in your name.</p>"
        '<form method="post" action="/devicelogin" autocomplete="off">'
        f'<input type="hidden" name="csrf" value="{escape(token)}">'
        + _field("code", "Code", value=code)
        + _field("login", "Name", value=login, hint="username")
        + _field(
            "password", "One-time password" if new_password else "Password", kind="password", hint="current-password"
        )
        + more
        + '<button name="answer" value="allow">Sign in</button>'
        '<button class="no" name="answer" value="deny" formnovalidate>This was not me</button></form>'
    )


def done_page(text: str) -> str:
    """A page that ends it."""
    return _page(f"<p>{escape(text)}</p>")


def _field(name: str, label: str, *, value: str = "", kind: str = "text", hint: str = "off") -> str:
    return (
        f'<label for="{name}">{label}</label>'
        f'<input id="{name}" name="{name}" type="{kind}" value="{escape(value)}" autocomplete="{hint}" required>'
    )


def _page(body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Sign in to hwdash</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>Sign in to hwdash</h1>{body}</main></body></html>"
    )
