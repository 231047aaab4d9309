"""Why something was refused or could not be read: a closed list, a sentence each in English and Chinese."""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a readable event was refused. Spellings never change; new ones are only added."""

    # Before the rules
    MARKET_NOT_CONFIGURED = "market_not_configured"
    WRONG_FAMILY = "wrong_family"
    PUBLISHER_NOT_ALLOWED = "publisher_not_allowed"
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"
    ID_REUSED = "id_reused"
    CAPACITY = "capacity"
    PERSONAL_DATA = "personal_data"
    # Market
    CLOCK_FIXED = "clock_fixed"
    TIMEZONE_UNKNOWN = "timezone_unknown"
    TIMEZONE_FIXED = "timezone_fixed"
    RULE_VERSION_UNKNOWN = "rule_version_unknown"
    RESTORE_MISMATCH = "restore_mismatch"
    # Offer
    OFFER_EXISTS = "offer_exists"
    OFFER_UNKNOWN = "offer_unknown"
    OFFER_INCOMPLETE = "offer_incomplete"
    OFFER_INCONSISTENT = "offer_inconsistent"
    OFFER_NOT_OPEN_YET = "offer_not_open_yet"
    OFFER_CLOSED = "offer_closed"
    OFFER_WITHDRAWN = "offer_withdrawn"
    STOCK_UNTRACKED = "stock_untracked"
    STOCK_NEGATIVE = "stock_negative"
    # Order
    ORDER_EXISTS = "order_exists"
    ORDER_UNKNOWN = "order_unknown"
    ORDER_OVER = "order_over"
    SKU_REQUIRED = "sku_required"
    SKU_UNKNOWN = "sku_unknown"
    OUT_OF_STOCK = "out_of_stock"
    QUANTITY_TOO_LARGE = "quantity_too_large"
    LIMIT_AT_ONCE = "limit_at_once"
    LIMIT_TOTAL = "limit_total"
    NO_OPEN_GROUP = "no_open_group"
    GROUP_UNKNOWN = "group_unknown"
    GROUP_OVER = "group_over"
    GROUP_FULL = "group_full"
    GROUP_OF_OTHER_OFFER = "group_of_other_offer"
    WRONG_POOL = "wrong_pool"
    ALREADY_IN_GROUP = "already_in_group"
    BLOCKED = "blocked"
    WITHDRAWAL_NOT_ALLOWED = "withdrawal_not_allowed"
    LEADER_MAY_NOT_LEAVE = "leader_may_not_leave"
    NOTHING_TO_CHANGE = "nothing_to_change"
    ALREADY_PAID = "already_paid"
    # Money
    NO_PAYMENT_DUE = "no_payment_due"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CURRENCY = "wrong_currency"
    SECOND_PAYMENT = "second_payment"
    LATE_PAYMENT = "late_payment"
    PAYMENT_KNOWN = "payment_known"
    REFUND_UNKNOWN = "refund_unknown"
    REFUND_SETTLED = "refund_settled"
    # Customer service
    NOTHING_CONFIRMED = "nothing_confirmed"
    # Member
    SELF_BLOCK = "self_block"
    BLOCK_UNCLEAR = "block_unclear"
    MEMBER_REGISTERED = "member_registered"
    SELF_LIMIT_GROUPS = "self_limit_groups"
    SELF_LIMIT_ASSISTS = "self_limit_assists"
    SELF_LIMIT_SPENDING = "self_limit_spending"
    # Invitation
    INVITATION_UNCLEAR = "invitation_unclear"
    INVITATION_EXISTS = "invitation_exists"
    INVITATION_OVER = "invitation_over"
    SELF_INVITATION = "self_invitation"
    NO_CONSENT = "no_consent"
    CAPPED_INVITER = "capped_inviter"
    CAPPED_INVITEE = "capped_invitee"
    CAPPED_POOL = "capped_pool"
    TOO_SOON = "too_soon"
    RESTRICTED = "restricted"
    # Play and assist
    PLAY_EXISTS = "play_exists"
    PLAY_UNKNOWN = "play_unknown"
    PLAY_FORM_UNKNOWN = "play_form_unknown"
    PLAY_INCOMPLETE = "play_incomplete"
    PLAY_INCONSISTENT = "play_inconsistent"
    PLAY_OVER = "play_over"
    PLAY_FULL = "play_full"
    NOTHING_TO_BUY = "nothing_to_buy"
    DRAWS_NOT_COMMITTED = "draws_not_committed"
    ASSIST_EXISTS = "assist_exists"
    ASSIST_UNKNOWN = "assist_unknown"
    ASSIST_VOIDED = "assist_voided"
    ASSIST_REFUSED = "assist_refused"
    ASSIST_NOT_HELD = "assist_not_held"
    SELF_HELP = "self_help"
    ALREADY_HELPED = "already_helped"
    VIA_REQUIRED = "via_required"
    NEW_MEMBERS_ONLY = "new_members_only"
    HELPER_DAY_CAP = "helper_day_cap"
    PAIR_WEEK_CAP = "pair_week_cap"
    # Dispute
    DISPUTE_EXISTS = "dispute_exists"
    DISPUTE_UNKNOWN = "dispute_unknown"
    DISPUTE_OVER = "dispute_over"
    DISPUTE_NOT_OVER = "dispute_not_over"
    SUBJECT_UNKNOWN = "subject_unknown"
    NOT_CONCERNED = "not_concerned"
    CLAIM_TOO_LATE = "claim_too_late"
    ANSWER_TOO_LATE = "answer_too_late"
    ANSWER_AWAITED = "answer_awaited"
    APPEAL_TOO_LATE = "appeal_too_late"
    APPEALED_BEFORE = "appealed_before"
    EVIDENCE_KNOWN = "evidence_known"
    SAME_ACTOR = "same_actor"
    REMEDY_INCOMPLETE = "remedy_incomplete"
    REMEDY_UNSUITED = "remedy_unsuited"
    REMEDY_DONE = "remedy_done"
    NOTHING_TO_REFUND = "nothing_to_refund"
    REFUND_TOO_LARGE = "refund_too_large"
    ORDER_STILL_SEATED = "order_still_seated"
    # Standing
    MEMBER_BANNED = "member_banned"
    MEMBER_LIMITED = "member_limited"
    SELF_REPORT = "self_report"
    ALREADY_REPORTED = "already_reported"
    ALREADY_SANCTIONED = "already_sanctioned"
    NOT_SANCTIONED = "not_sanctioned"


class Fault(StrEnum):
    """Why an input could not be read as an event at all. Spellings never change; new ones are only added."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEY = "duplicate_key"
    EVENT_TOO_LARGE = "event_too_large"
    BATCH_TOO_LARGE = "batch_too_large"
    TOO_MANY_EVENTS = "too_many_events"
    EMPTY = "empty"
    NOT_AN_EVENT = "not_an_event"
    UNKNOWN_TYPE = "unknown_type"
    WRONG_FIELD = "wrong_field"
    BAD_ID = "bad_id"
    BAD_SOURCE = "bad_source"
    BAD_TIME = "bad_time"
    BAD_SUBJECT = "bad_subject"
    RAW_SIGNAL = "raw_signal"


SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "market_not_configured": ("This market has not been configured yet.", "该市场尚未配置。"),
    "wrong_family": (
        "The event's type does not belong to the subject's family.",
        "事件类型与主题的类别不符。",
    ),
    "publisher_not_allowed": ("This publisher may not publish this family.", "该发布者无权发布此类事件。"),
    "too_old": ("The event's time lies further back than the replay window.", "事件时间早于允许的重放窗口。"),
    "from_the_future": ("The event's time lies too far ahead.", "事件时间超前过多。"),
    "id_reused": ("This id was used before for an event with other content.", "该编号已用于内容不同的事件。"),
    "capacity": (
        "The market's stated capacity is reached; try again later.",
        "已达到市场声明的容量，请稍后再试。",
    ),
    "personal_data": (
        "A field looks like a phone number, identity number or e-mail address; use a pseudonym.",
        "字段疑似包含手机号、身份证号或邮箱，请使用化名。",
    ),
    "clock_fixed": ("The clock of a market cannot be changed once it is set.", "市场的时钟设定后不可更改。"),
    "timezone_unknown": ("This time zone is not known.", "未知的时区。"),
    "timezone_fixed": (
        "The time zone of a market cannot be changed once it is set.",
        "市场的时区设定后不可更改。",
    ),
    "rule_version_unknown": ("This rule version is not known here.", "未知的规则版本。"),
    "restore_mismatch": (
        "It does not stand where the intake that it speaks of ended.",
        "该事件不在其所述入口流的结束位置。",
    ),
    "offer_exists": ("An offer with this id is already listed.", "该编号的商品已存在。"),
    "offer_unknown": ("No offer with this id is listed.", "没有该编号的商品。"),
    "offer_incomplete": ("The offer lacks a rule that has no default.", "商品缺少必需的规则。"),
    "offer_inconsistent": ("Two rules of the offer contradict each other.", "商品的规则相互矛盾。"),
    "offer_not_open_yet": ("The offer is not open yet.", "该商品尚未开始。"),
    "offer_closed": ("The offer has closed.", "该商品已结束。"),
    "offer_withdrawn": ("The offer has been withdrawn.", "该商品已下架。"),
    "stock_untracked": ("This offer keeps no stock of that kind.", "该商品未设此类库存。"),
    "stock_negative": ("The stock would fall below zero.", "库存将变为负数。"),
    "order_exists": ("Another order with this id exists.", "该编号的另一订单已存在。"),
    "order_unknown": ("No order with this id is known.", "没有该编号的订单。"),
    "order_over": ("The order has already ended.", "该订单已结束。"),
    "sku_required": ("The order must name a variant.", "订单必须指定规格。"),
    "sku_unknown": ("The offer has no such variant.", "该商品没有此规格。"),
    "out_of_stock": ("Too little stock is left.", "库存不足。"),
    "quantity_too_large": ("The quantity exceeds the size of a group.", "数量超过团的规模。"),
    "limit_at_once": ("The member holds as much at a time as the offer allows.", "已达到同时参与的上限。"),
    "limit_total": ("The member has ordered as much in total as the offer allows.", "已达到累计购买的上限。"),
    "no_open_group": ("No open group suits this order.", "没有适合的团。"),
    "group_unknown": ("No group with this id is known.", "没有该编号的团。"),
    "group_over": ("The group has already ended.", "该团已结束。"),
    "group_full": ("The group has no free seat.", "该团已满员。"),
    "group_of_other_offer": ("The group belongs to another offer.", "该团属于其他商品。"),
    "wrong_pool": ("The group belongs to another pool.", "该团属于其他范围。"),
    "already_in_group": ("The member already has a seat in this group.", "该成员已在团中。"),
    "blocked": (
        "The member keeps apart from someone concerned, or from the pool.",
        "该成员与相关成员或范围互不相配。",
    ),
    "withdrawal_not_allowed": ("The offer does not allow leaving at this stage.", "此阶段不允许退出。"),
    "leader_may_not_leave": ("The leader may not leave a group of this offer.", "团长不可退出。"),
    "nothing_to_change": ("The change leaves the order as it is.", "没有需要修改的内容。"),
    "already_paid": ("The quantity cannot change after payment.", "付款后不可修改数量。"),
    "no_payment_due": ("The order's seat needs no payment.", "该订单无需付款。"),
    "wrong_amount": ("The amount is not the amount payable.", "金额与应付金额不符。"),
    "wrong_currency": ("The currency is not the offer's.", "币种与商品不符。"),
    "second_payment": ("The order has already been paid.", "该订单已付款。"),
    "late_payment": ("The payment came after the seat was no longer held.", "付款时名额已不再保留。"),
    "payment_known": ("This payment has already been dealt with.", "该笔付款已处理。"),
    "refund_unknown": ("No refund with this id is known.", "没有该编号的退款。"),
    "refund_settled": ("The refund has already been settled.", "该退款已完成。"),
    "nothing_confirmed": ("The group has no confirmed seat.", "该团没有已确认的名额。"),
    "self_block": ("A member cannot block itself.", "成员不能屏蔽自己。"),
    "block_unclear": (
        "A block names either another member or a pool.",
        "屏蔽须指明另一成员或一个范围，二者取一。",
    ),
    "member_registered": ("This member is registered already.", "该成员已登记。"),
    "self_limit_groups": (
        "The member has joined as many groups this week as the member's own limit allows.",
        "本周参团数已达到成员自设的上限。",
    ),
    "self_limit_assists": (
        "The member has helped as often this week as the member's own limit allows.",
        "本周助力次数已达到成员自设的上限。",
    ),
    "self_limit_spending": (
        "The order would take the member past the own limit on spending this week.",
        "该订单将超出成员自设的本周消费上限。",
    ),
    "invitation_unclear": (
        "An invitation names exactly one of group, play and pool.",
        "邀请须指明团、活动、范围三者之一。",
    ),
    "invitation_exists": ("Another invitation with this id exists.", "该编号的另一邀请已存在。"),
    "invitation_over": (
        "What the invitation is about is over before it could be sent.",
        "邀请的有效时间已过。",
    ),
    "self_invitation": ("Nobody can invite oneself.", "成员不能邀请自己。"),
    "no_consent": (
        "The member has not agreed to such invitations by this channel.",
        "该成员未同意通过此渠道接收此类邀请。",
    ),
    "capped_inviter": (
        "The inviter has sent as many invitations today as one may send.",
        "邀请人今日发出的邀请已达上限。",
    ),
    "capped_invitee": (
        "The member has got as many invitations today as one may get.",
        "该成员今日收到的邀请已达上限。",
    ),
    "capped_pool": (
        "As many invitations as allowed have been sent for this pool today.",
        "该范围今日的邀请已达上限。",
    ),
    "too_soon": (
        "The inviter's last invitation to this member is too short a time ago.",
        "距上次邀请该成员的时间过短。",
    ),
    "restricted": ("The member may not do this at present.", "该成员目前不可进行此操作。"),
    "play_exists": ("Another play with this id exists.", "该编号的活动已存在。"),
    "play_unknown": ("No play with this id is known.", "没有该编号的活动。"),
    "play_form_unknown": ("This form of play is not known here.", "未知的玩法。"),
    "play_incomplete": ("The play lacks a rule that has no default.", "活动缺少必需的规则。"),
    "play_inconsistent": (
        "A rule of the play is not one of its form, or contradicts another.",
        "活动的规则不属于该玩法，或相互矛盾。",
    ),
    "play_over": ("The play is over.", "该活动已结束。"),
    "play_full": ("The play has as many helpers as it takes.", "该活动的助力人数已满。"),
    "nothing_to_buy": ("This play has no price at which to buy.", "该活动没有可购买的价格。"),
    "draws_not_committed": (
        "The market has not committed to the secret behind its draws.",
        "该市场尚未对抽奖密钥作出承诺。",
    ),
    "assist_exists": ("Another assist of this play has this id.", "该活动中已有此编号的助力。"),
    "assist_unknown": ("No such assist of this member is known in this play.", "该活动中没有此成员的该笔助力。"),
    "assist_voided": ("The assist has already been voided.", "该助力已作废。"),
    "assist_refused": ("The assist was refused and counts nothing.", "该助力已被拒绝，不计入。"),
    "assist_not_held": ("The assist is not held for review.", "该助力不在审核中。"),
    "self_help": (
        "A member cannot help an own play, nor be the one who shared it to itself.",
        "成员不能为自己助力，也不能由自己分享给自己。",
    ),
    "already_helped": ("The member has already helped this play.", "该成员已为此活动助力。"),
    "via_required": ("The assist must name who shared the play.", "助力须注明分享者。"),
    "new_members_only": ("Only new members may help this play.", "仅限新成员助力。"),
    "helper_day_cap": ("The member has helped as often today as is allowed.", "该成员今日助力次数已达上限。"),
    "pair_week_cap": (
        "The member has helped the same member as often this week as is allowed.",
        "该成员本周为同一成员助力的次数已达上限。",
    ),
    "dispute_exists": (
        "A dispute with this id, or by this member about this, is known already.",
        "该争议已存在，或该成员已就此提出过争议。",
    ),
    "dispute_unknown": ("No dispute with this id is known.", "没有该编号的争议。"),
    "dispute_over": ("The dispute has already been resolved.", "该争议已有处理结果。"),
    "dispute_not_over": ("The dispute has not been resolved yet.", "该争议尚未处理完毕。"),
    "subject_unknown": ("What is disputed is not known here, or no longer.", "争议的对象不存在或已过保存期。"),
    "not_concerned": ("What is disputed does not concern this member.", "争议的对象与该成员无关。"),
    "claim_too_late": ("The claim period is over.", "已超过申诉期限。"),
    "answer_too_late": ("The time for an answer is over.", "已超过答复期限。"),
    "answer_awaited": ("The other side may still answer the claim.", "对方的答复期限尚未届满。"),
    "appeal_too_late": ("The time for an appeal is over.", "已超过复议期限。"),
    "appealed_before": ("The dispute has been appealed once already.", "该争议已复议过一次。"),
    "evidence_known": ("The same evidence has been handed in before.", "该证据已提交过。"),
    "same_actor": ("It takes a second, other person.", "须由另一人处理。"),
    "remedy_incomplete": ("The remedy does not name what it is about.", "处理方式缺少必需的内容。"),
    "remedy_unsuited": ("The remedy does not belong to what is disputed.", "处理方式与争议的对象不符。"),
    "remedy_done": ("What the remedy would bring about holds already.", "该处理已生效，无需重复。"),
    "nothing_to_refund": ("The order holds no money that could go back.", "该订单没有可退的款项。"),
    "refund_too_large": ("The order holds less money than that.", "退款金额超过该订单可退的款项。"),
    "order_still_seated": (
        "The order still has a seat in an open group; release it, or wait until the group ends.",
        "该订单仍在进行中的团内，请先退出或等待成团结束。",
    ),
    "member_banned": ("The member is banned for the time being.", "该成员目前被禁止参与。"),
    "member_limited": (
        "The member may neither help nor invite for the time being.",
        "该成员目前不能助力或邀请他人。",
    ),
    "self_report": ("A member cannot report itself.", "成员不能举报自己。"),
    "already_reported": ("This member has already reported the other.", "该成员已举报过对方。"),
    "already_sanctioned": (
        "The member already stands at this rung or a higher one.",
        "该成员已处于同级或更高级别的处罚。",
    ),
    "not_sanctioned": ("Nothing is held against this member.", "该成员没有任何处罚或记录。"),
    "not_utf8": ("The bytes are not UTF-8.", "内容不是 UTF-8 编码。"),
    "not_json": ("The bytes are not one JSON value.", "内容不是合法的 JSON。"),
    "too_deep": ("The JSON is nested too deeply.", "JSON 嵌套过深。"),
    "duplicate_key": ("An object has the same key twice.", "对象中有重复的键。"),
    "event_too_large": ("The event is larger than 32 KiB.", "事件超过 32 KiB。"),
    "batch_too_large": ("The batch is larger than 768 KiB.", "批次超过 768 KiB。"),
    "too_many_events": ("The batch has more than 1,000 events.", "批次超过 1,000 个事件。"),
    "empty": ("There is nothing in it.", "内容为空。"),
    "not_an_event": ("It is not a CloudEvents 1.0 object.", "不是 CloudEvents 1.0 对象。"),
    "unknown_type": ("No such event type is known.", "未知的事件类型。"),
    "wrong_field": ("A field is missing or has the wrong type or range.", "字段缺失，或类型、范围不符。"),
    "bad_id": (
        "An identifier has characters or a length that are not allowed.",
        "编号的字符或长度不符合要求。",
    ),
    "bad_source": (
        "The source is not 1 to 128 printable ASCII characters.",
        "source 须为 1 至 128 个可打印 ASCII 字符。",
    ),
    "bad_time": ("A time is not RFC 3339 with an offset.", "时间须为带时区偏移的 RFC 3339 格式。"),
    "bad_subject": (
        "The message came on a subject that is not an intake subject.",
        "消息的主题不是入口主题。",
    ),
    "raw_signal": (
        "A device or network is not a SHA-256 in lower-case hexadecimal; hash it before it is sent.",
        "设备或网络标识须先做 SHA-256 哈希（小写十六进制），不接受原始值。",
    ),
}
"""One sentence for each reason and fault: (English, Chinese)."""


def sentence(code: str, language: str = "en") -> str:
    """Return the sentence of a reason or fault in `language` ("en" or "zh")."""
    english, chinese = SENTENCES[code]
    return chinese if language.startswith("zh") else english
