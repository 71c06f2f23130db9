"""Where a way ended, what that means, and what to do about it."""

from dod import reach
from dod.doctor.findings import Said
from dod.doctor.remedies import Remedy


def of_obstacle(unreached: reach.Unreached, url: str) -> Remedy:
    """Where the way to ``url`` ended."""
    zh, en, fix_zh, fix_en = _BY_OBSTACLE[unreached.obstacle]
    if unreached.obstacle == "refused" and unreached.host in {"localhost", "127.0.0.1", "::1"}:
        fix_zh += "在容器里，localhost 是容器自己：要写那台机器的 IP。"
        fix_en += " In a container localhost is the container itself: write that host's address."
    host = unreached.host
    said, fix = (
        Said(zh.replace("{host}", host), en.replace("{host}", host))
        for zh, en in ((zh, en), (fix_zh, fix_en))
    )
    return Remedy(said, by_proxy(fix, url), unreached.detail)


def by_proxy(fix: Said, url: str) -> Said:
    """``fix``, and where else to look if a proxy leads to ``url``."""
    proxy = reach.proxy_of(url)
    if proxy is None:
        return fix
    via = reach.shown(proxy)
    return Said(
        f"{fix.zh}这条路经过代理 {via}：看代理能不能到那里；不该走代理的，加进 NO_PROXY。",
        f"{fix.en} The way goes through the proxy {via}: can it get there? Whom it should not be "
        "asked for, belongs into NO_PROXY.",
    )


_LATER = ("检查本机的网络、网关和防火墙。", "Look at this host's network, gateway and firewall.")
_BY_OBSTACLE: dict[reach.Obstacle, tuple[str, str, str, str]] = {
    "dns": (
        "域名 {host} 解析不出来（DNS）。",
        "The name {host} cannot be resolved (DNS).",
        "检查地址有没有写错；再检查本机（容器）的 DNS 服务器。",
        "Is the address spelt right? Then look at the DNS server of this host (or container).",
    ),
    "dns_silent": (
        "DNS 服务器没有应答，{host} 解析不出来。",
        "No DNS server answers, so {host} cannot be resolved.",
        "检查本机（容器）的 DNS 设置，例如换成 223.5.5.5。",
        "Look at the DNS settings of this host (or container); try 223.5.5.5, for example.",
    ),
    "refused": (
        "{host} 拒绝连接：那个端口上没有程序。",
        "{host} refuses the connection: no program listens on that port.",
        "检查地址里的端口，以及那边的程序有没有在运行。",
        "Look at the port in the address, and whether the program over there is running.",
    ),
    "no_way": (
        "本机的网络到不了 {host}。",
        "There is no network to {host}.",
        *_LATER,
    ),
    "silent": (
        "连接 {host} 一直没有回应（多半被防火墙拦下了）。",
        "No connection to {host} comes about (a firewall drops it, mostly).",
        *_LATER,
    ),
    "mute": (
        "连上了 {host}，但它不应答。",
        "{host} takes the connection and does not answer.",
        "看那边（或途中的代理）是不是卡住了；过一会儿再试。",
        "See whether it, or a proxy on the way, is stuck; try again later.",
    ),
    "date": (
        "{host} 的证书今天无效：多半是本机的日期不对。",
        "The certificate of {host} is not valid today: this host's date is wrong, mostly.",
        "校准本机时间（打开 NTP 对时）；时间没错的话，是对方的证书过期了。",
        "Set this host's clock (switch NTP on); if it is right, the certificate has expired.",
    ),
    "name": (
        "{host} 出示的证书是另一个域名的。",
        "{host} shows the certificate of another name.",
        "地址里写证书上的那个域名；或者给 {host} 换一张写着它的证书。",
        "Write the name that the certificate has; or give {host} a certificate that names it.",
    ),
    "certificate": (
        "{host} 的证书不被信任。",
        "The certificate of {host} is not trusted.",
        (
            "自签名的、或公司网络替换过的证书：把它的 CA 证书放进配置目录，设 SSL_CERT_FILE "
            "指向它。dod 从此只信任这个文件，钉钉和 Dify 要用的都得在里面。"
        ),
        (
            "If it is self-signed, or an office's firewall replaces certificates: put the CA into "
            "the config folder and let SSL_CERT_FILE name it. dod then trusts that file alone: "
            "what DingTalk and Dify need must both be in it."
        ),
    ),
    "tls": (
        "和 {host} 的 TLS 握手失败。",
        "The TLS handshake with {host} failed.",
        "那个端口可能不是 https：检查 http:// 和 https://、端口；再检查途中的代理。",
        "That port may not be https: look at http:// or https:// and the port; then at proxies.",
    ),
    "proxy": (
        "代理 {host} 拒绝转发。",
        "The proxy {host} refuses to lead there.",
        "检查 HTTPS_PROXY 里的用户名和密码，以及代理的放行名单。",
        "Look at user and password in HTTPS_PROXY, and at what the proxy allows.",
    ),
    "broken": (
        "和 {host} 的连接中途断了。",
        "The connection to {host} broke off.",
        *_LATER,
    ),
}
