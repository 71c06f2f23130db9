"""A bot's Dify side: address, key, kind of app, and the variables that its form asks for."""

from dod.config.spec import BotSpec
from dod.dify.probe import Probe, Variable
from dod.doctor import remedies
from dod.doctor.findings import Said, Section
from dod.doctor.obstacles import by_proxy
from dod.errors import DifyError

ALL = ("app", "type", "inputs")
_DIFYS_OWN = frozenset({"dify_key", "dify_api_off", "dify_app_broken"})
_AFTER = Said("要先解决上面的失败。", "What failed above comes first.")


async def look_at_app(spec: BotSpec, probe: Probe, section: Section) -> None:
    try:
        form = await probe.form()
    except DifyError as error:
        section.tell("app", "failed", *_remedy(error, spec))
        section.skip(_AFTER, "type", "inputs")
        return
    section.tell("app", "ok")
    if await _look_at_type(spec, probe, section):
        _look_at_inputs(spec, form, section)
    else:
        section.skip(_AFTER, "inputs")


async def _look_at_type(spec: BotSpec, probe: Probe, section: Section) -> bool:
    """Whether it is as configured, as far as Dify tells."""
    try:
        kind = await probe.kind(spec.dify_app_type)
    except DifyError as error:
        section.tell("type", "warning", *_remedy(error, spec))
        return True
    if kind == spec.dify_app_type:
        section.tell("type", "ok", Said(kind, kind))
        return True
    if kind not in {"chatbot", "completion", "workflow"}:
        said = Said("Dify 没有说它是什么应用。", "Dify does not tell what kind of app it is.")
        section.tell("type", "skipped", said, detail=kind)
        return True
    section.tell(
        "type",
        "failed",
        Said(
            f"dify_app_type 写的是 {spec.dify_app_type}，Dify 说它是 {kind}。",
            f"dify_app_type says {spec.dify_app_type}, Dify says that it is {kind}.",
        ),
        Said(
            f"改成 dify_app_type: {kind}；或者密钥是另一个应用的，换一个。",
            f"Write dify_app_type: {kind}; or the key is another app's: take the right one.",
        ),
    )
    return False


def _remedy(error: DifyError, spec: BotSpec) -> remedies.Remedy:
    remedy = remedies.of_dify(error)
    if error.key in _DIFYS_OWN:
        return remedy
    # A proxy that cannot get there answers in Dify's place.
    return remedy._replace(fix=by_proxy(remedy.fix, spec.dify_api_url))


def _look_at_inputs(spec: BotSpec, form: tuple[Variable, ...], section: Section) -> None:
    given = {name for name, _ in spec.dify_inputs}
    known = {variable.name for variable in form}
    lacking = [it.name for it in form if it.required and it.typed and it.name not in given]
    if lacking:
        names = ", ".join(lacking)
        section.tell(
            "inputs",
            "failed",
            Said(
                f"应用要求填写 {names}，dify_inputs 没有给：每个问题都会被拒绝。",
                f"The app requires {names}, which dify_inputs does not give: it will refuse every "
                "question.",
            ),
            Said(
                f'在 dify_inputs 里加上，例如 {lacking[0]}: "{{text}}"；或在 Dify 里改为选填。',
                f'Add to dify_inputs, for example, {lacking[0]}: "{{text}}"; or make it optional '
                "in Dify.",
            ),
        )
        return
    if strange := sorted(given - known):
        names = ", ".join(strange)
        section.tell(
            "inputs",
            "warning",
            Said(
                f"应用的表单里没有 dify_inputs 里的 {names}，Dify 会忽略。",
                f"The app's form has no {names} of dify_inputs; Dify passes it over.",
            ),
            Said(
                f"改用表单里的变量名（{', '.join(sorted(known)) or '表单是空的'}），或删掉。",
                f"Use the form's names ({', '.join(sorted(known)) or 'the form is empty'}), or "
                "delete it.",
            ),
        )
        return
    names = ", ".join(sorted(given))
    section.tell("inputs", "ok", Said(names, names))
