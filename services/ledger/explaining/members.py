"""Explanations of members' choices and of invitations."""

from typing import Final

from services.ledger.explaining.words import Explanation as Told

DECISIONS: Final = {
    "member.chose": Told("8", "What the member chose is in force.", "该成员的选择已生效。"),
    "member.reminded": Told(
        "8",
        "A weekly limit has been reached; it begins anew at {week_ends}.",
        "本周上限已达到，将于 {week_ends} 重新计算。",
    ),
    "invitation.allowed": Told("8", "Invitation {invitation} may be sent.", "邀请 {invitation} 可以发送。"),
    "invitation.refused": Told("8", "Invitation {invitation} may not be sent.", "邀请 {invitation} 不可发送。"),
}
"""By kind of decision."""

REASONS: Final = {
    "block_unclear": Told(
        "8", "It must name either a member or a circle to keep apart from.", "须指明要屏蔽的成员或范围，二者取一。"
    ),
    "member_registered": Told("8", "The member had been registered before.", "该成员此前已登记。"),
    "self_limit_groups": Told(
        "8", "The member had set a limit on groups a week, and it was reached.", "已达到该成员自设的每周参团上限。"
    ),
    "self_limit_assists": Told(
        "8", "The member had set a limit on helping a week, and it was reached.", "已达到该成员自设的每周助力上限。"
    ),
    "self_limit_spending": Told(
        "8",
        "The member had set a limit on spending a week, and it would be passed.",
        "将超出该成员自设的每周消费上限。",
    ),
    "invitation_unclear": Told(
        "8", "It must name a group, a play or a circle, and only one of them.", "须指明团、活动、范围三者之一。"
    ),
    "invitation_exists": Told("8", "There was an invitation of this number already.", "该编号的邀请已存在。"),
    "invitation_over": Told(
        "8", "What it invites to would be over before it could be sent.", "邀请的内容在发送前已结束。"
    ),
    "self_invitation": Told("8", "Nobody can invite oneself.", "成员不能邀请自己。"),
    "no_consent": Told(
        "8", "The other has not agreed to get such invitations this way.", "对方未同意以此方式接收此类邀请。"
    ),
    "capped_inviter": Told(
        "8", "As many invitations as one may send in a day had been sent.", "当日可发出的邀请已达上限。"
    ),
    "capped_invitee": Told(
        "8", "The other had got as many invitations as one may get in a day.", "对方当日可收到的邀请已达上限。"
    ),
    "capped_pool": Told(
        "8", "As many invitations as may be sent for this circle in a day had been sent.", "该范围当日的邀请已达上限。"
    ),
    "too_soon": Told(
        "8", "The last invitation to the same member was too short a time ago.", "距上次邀请同一成员的时间过短。"
    ),
    "restricted": Told("8", "The member may not do this at present.", "该成员目前不可进行此操作。"),
}
"""By reason of a refusal."""

INVITATION_REASONS: Final = {
    "blocked": Told("8", "The other gets no such invitations.", "对方不接收此类邀请。"),
}
"""By reason of a refused invitation, where it is told otherwise than of an order: nobody learns who keeps apart."""
