"""Explanations of plays and assists. Why an assist is doubted is for operators alone: no score and no ground."""

from typing import Final

from services.ledger.explaining.words import Explanation as Told

DECISIONS: Final = {
    "play.opened": Told("9", "Play {play} is open.", "活动 {play} 已开始。"),
    "play.closed": Told("9", "Play {play} is over.", "活动 {play} 已结束。"),
    "play.closed/ended": Told("9", "Play {play} is over: its time has come.", "活动 {play} 已到结束时间。"),
    "play.closed/complete": Told(
        "9",
        "Play {play} is over: the last thing that it could give has been given.",
        "活动 {play} 已全部发放完毕，活动结束。",
    ),
    "play.closed/bought": Told(
        "9",
        "Play {play} is over: order {order} bought at the price reached.",
        "活动 {play} 已结束：订单 {order} 以砍后价购买。",
    ),
    "play.closed/early": Told("9", "Play {play} was closed before its time.", "活动 {play} 已提前结束。"),
    "play.closed/cancelled": Told("9", "Play {play} was called off.", "活动 {play} 已取消。"),
    "price.cut": Told(
        "9",
        "A friend's help cut the price in play {play}. Its amount follows from a seed that was fixed beforehand and is "
        "shown when the play is over.",
        "好友助力使活动 {play} 的价格下降。金额由事先确定的种子决定，种子将在活动结束时公布。",
    ),
    "play.advanced": Told("9", "Play {play} came nearer to its next reward.", "活动 {play} 离下一个奖励更近了。"),
    "play.ticketed": Told(
        "9", "{tickets} tickets were given in play {play}.", "活动 {play} 已发放 {tickets} 张抽奖券。"
    ),
    "play.won": Told("9", "Prize {prize} was won in play {play}.", "活动 {play} 的奖品 {prize} 已中出。"),
    "play.corrected": Told(
        "9",
        "An assist of play {play} counts no more; the play stands as it would without it.",
        "活动 {play} 的一次助力已不计入，活动按无此助力计算。",
    ),
    "play.claimed": Told(
        "9", "After play {play} was over, one of its assists changed.", "活动 {play} 结束后，其中一次助力有变动。"
    ),
    "play.claimed/voided_after_close": Told(
        "9",
        "After play {play} was over, assist {assist} was found not to count; customer service settles what follows.",
        "活动 {play} 结束后，助力 {assist} 被认定不计入，后续由客服处理。",
    ),
    "play.claimed/counted_after_close": Told(
        "9",
        "After play {play} was over, assist {assist} was found to count; customer service settles what follows.",
        "活动 {play} 结束后，助力 {assist} 被认定有效，后续由客服处理。",
    ),
    "assist.counted": Told("9", "The help in play {play} counts.", "在活动 {play} 中的助力已计入。"),
    "assist.held": Told(
        "9",
        "The help in play {play} is looked at by a person before it counts.",
        "在活动 {play} 中的助力正在人工审核。",
    ),
    "assist.doubted": Told(
        "9", "A help in play {play} is looked at by a person once more.", "活动 {play} 中的一次助力正在人工复核。"
    ),
    "assist.refused": Told(
        "9",
        "The help in play {play} does not count. Whoever disagrees may dispute it.",
        "在活动 {play} 中的助力不计入，如有异议可申诉。",
    ),
    "assist.voided": Told(
        "9",
        "The help in play {play} counts no more. Whoever disagrees may dispute it.",
        "在活动 {play} 中的助力已作废，如有异议可申诉。",
    ),
    "refund.due/not_drawn": Told(
        "9",
        "Order {order} was not drawn, so {amount_minor} of payment {payment} is owed back.",
        "订单 {order} 未中签，付款 {payment} 应退 {amount_minor}。",
    ),
}
"""By kind of decision, or kind/cause."""

REASONS: Final = {
    "play_exists": Told("9", "There was a play of this number already.", "该编号的活动已存在。"),
    "play_unknown": Told(
        "9",
        "There was no play of this number, or it ended so long ago that it is forgotten.",
        "没有该编号的活动，或已结束过久。",
    ),
    "play_form_unknown": Told("9", "There is no such form of play.", "没有这种玩法。"),
    "play_incomplete": Told("9", "The play said too little about how it goes.", "活动缺少必需的规则。"),
    "play_inconsistent": Told(
        "9", "What the play said about how it goes does not go together.", "活动的规则互相矛盾。"
    ),
    "play_over": Told("9", "The play had ended before it came.", "提交时该活动已结束。"),
    "play_full": Told("9", "The play had as many helpers as it takes.", "该活动的助力人数已满。"),
    "nothing_to_buy": Told("9", "This play has no price at which to buy.", "该活动没有可购买的价格。"),
    "draws_not_committed": Told(
        "9", "The market had not yet fixed the secret behind its draws.", "该市场尚未确定抽奖密钥。"
    ),
    "assist_exists": Told("9", "There was another help of this number in the play.", "该活动中已有此编号的助力。"),
    "assist_unknown": Told("9", "There was no such help in the play.", "该活动中没有该笔助力。"),
    "assist_voided": Told("9", "This help had been taken back before.", "该助力此前已作废。"),
    "assist_refused": Told("9", "This help had been refused before.", "该助力此前已被拒绝。"),
    "assist_not_held": Told("9", "This help was not waiting for anybody to look at it.", "该助力不在审核中。"),
    "self_help": Told("9", "Nobody can help in a play of one's own.", "成员不能为自己助力。"),
    "already_helped": Told("9", "The member had helped in this play before.", "该成员已为此活动助力。"),
    "via_required": Told("9", "It must say who shared the play.", "须注明活动的分享者。"),
    "new_members_only": Told("9", "Only new members may help in this play.", "仅限新成员助力。"),
    "helper_day_cap": Told("9", "The member had helped as often that day as one may.", "该成员当日助力次数已达上限。"),
    "pair_week_cap": Told(
        "9",
        "The member had helped this friend as often that week as one may.",
        "该成员当周为该好友助力的次数已达上限。",
    ),
    "raw_signal": Told(
        "9",
        "The shop sent a device or network as it is; only a hash of it may be sent.",
        "商家提交了原始的设备或网络标识，须先做哈希。",
    ),
}
"""By reason of a refusal."""
