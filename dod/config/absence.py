"""What is said when there is nothing to read yet."""

import os
from pathlib import Path

from dod.config.source import Remark

EMPTY = Remark(
    "文件是空的（可能正在保存）；请在里面写上 bots。",
    "The file is empty (perhaps it is being saved); write your bots into it.",
)
ONLY_COMMENTS = Remark(
    "文件里只有注释，还没有机器人；请填好，去掉那几行开头的“# ”，然后保存。",
    "There are only comments in this file and no bot yet: fill it in, remove the '# ' at the "
    "beginning of those lines, and save.",
)
NO_FOLDER = Remark(
    "配置文件夹还不存在；请把它建好（在容器里运行时：挂载进来），里面放一个 bots.yaml。",
    "The configuration folder does not exist; create it (or, in a container, mount it) and put a "
    "bots.yaml there.",
)


def no_folder(folder: Path, poll: float) -> Remark:
    """``poll``: seconds until dod looks for it again."""
    if os.path.lexists(folder):  # never raises, unlike Path.exists
        return Remark(
            f"{folder} 不是文件夹，或者 dod 进不去；配置要放在一个文件夹里，"
            f"dod 每 {poll:g} 秒看一次。",
            f"{folder} is no folder, or dod may not look into it; dod looks again every "
            f"{poll:g} s.",
        )
    return Remark(
        f"没有 {folder} 这个配置文件夹（可以用 DOD_CONFIG_DIR 指定另一个）；"
        f"dod 每 {poll:g} 秒看一次，建好就会用上。",
        f"There is no configuration folder {folder} (DOD_CONFIG_DIR names another); dod looks for "
        f"it every {poll:g} s and takes it as soon as it is there.",
    )


def ignored(name: str, taken: str) -> Remark:
    return Remark(
        f"{name} 被忽略了：配置文件夹里有 {taken}，以它为准。不需要 {name} 就删掉它。",
        f"{name} is ignored because there is a {taken}, which counts. Delete {name} if you do not "
        "need it.",
    )


def no_such_file(name: str) -> Remark:
    return Remark(f"找不到文件 {name}。", f"There is no file {name}.")


def no_file(name: str) -> Remark:
    return Remark(
        f"配置文件夹里还没有 {name}；把它放进去，dod 运行时几秒内就会生效。",
        f"There is no {name} in the configuration folder yet; put one there, and a running dod "
        "takes it within seconds.",
    )
