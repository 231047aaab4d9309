"""Explanations of sanctions: what holds, until when, and what one can do; never what it takes to be sanctioned."""

from typing import Final

from services.ledger.explaining.words import Explanation as Told

DECISIONS: Final = {
    "member.reported": Told(
        "10", "A complaint was noted; by itself it changes nothing.", "投诉已记录，其本身不产生任何影响。"
    ),
    "member.warned": Told(
        "10",
        "The rules of conduct were not kept ({ground}), a warning until {until}; nothing else follows.",
        "未遵守行为规则（{ground}），特此警告，有效期至 {until}；期间不限制任何操作。",
    ),
    "member.limited": Told(
        "10",
        "The rules of conduct were not kept ({ground}): helping and inviting rest until {until}. This may be disputed.",
        "未遵守行为规则（{ground}），助力与邀请暂停至 {until}，如有异议可申诉。",
    ),
    "member.banned": Told(
        "10",
        "The rules of conduct were not kept ({ground}), so taking part rests until {until}. This may be disputed.",
        "未遵守行为规则（{ground}），参与资格暂停至 {until}，如有异议可申诉。",
    ),
    "member.reinstated": Told("10", "The sanction is over.", "限制已解除。"),
    "member.reinstated/expired": Told("10", "The sanction is over: its time has come.", "限制期满，已解除。"),
    "member.reinstated/operator": Told("10", "Customer service took the sanction back.", "客服已撤销该限制。"),
}
"""By kind of decision, or kind/cause."""

REASONS: Final = {
    "member_banned": Told("10", "The member may not take part for the time being.", "该成员目前暂停参与。"),
    "member_limited": Told(
        "10", "The member may neither help nor invite for the time being.", "该成员目前暂停助力与邀请。"
    ),
    "self_report": Told("10", "Nobody can report oneself.", "成员不能举报自己。"),
    "already_reported": Told("10", "The member had reported the other before.", "该成员此前已举报过对方。"),
    "already_sanctioned": Told(
        "10", "Such a sanction, or a stricter one, is in force already.", "同等或更严的限制已在生效。"
    ),
    "not_sanctioned": Told("10", "No sanction is in force that could be taken back.", "没有可撤销的限制。"),
}
"""By reason of a refusal."""
