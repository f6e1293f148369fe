// The widget's words in Chinese, and the guide's reasons. A reason of the guide is found here by its English words.

const DID = {
  "looked at": "看过", liked: "喜欢", put: "加购过", bought: "买过",
};
const did = (text) => {
  const [, verb, title] = /^(looked at|liked|put|bought) (.*?)(?: in your cart)?$/s.exec(text);
  return title === "it" ? `您${DID[verb]}它` : `您${DID[verb]}「${title}」`;
};

const WHO = {
  "on phones": "使用手机的", "on tablets": "使用平板的", "on desktops": "使用电脑的",
  "who come by themselves": "直接到来的", "who come from a search": "从搜索来的", "who come from social media": "从社交媒体来的",
  "who come from a mail": "从邮件来的", "who come from other sites": "从其他网站来的", "of this campaign": "本次活动的",
  "at night": "夜间的", "in the morning": "上午的", "in the afternoon": "下午的", "in the evening": "晚间的",
};
const visitors = (who) => {
  const land = /^from ([A-Z]{2})$/.exec(who)?.[1];
  return land ? `来自${new Intl.DisplayNames("zh", { type: "region" }).of(land)}的` : WHO[who] ?? who;
};

const REASONS = [
  [/^because you (.*); (\d+) shoppers chose both$/s, (_, what, n) => `因为${did(what)}；${n} 位顾客两样都选了`],
  [/^because you (.*); (\d+) shoppers who chose it chose this too$/s, (_, what, n) => `因为${did(what)}；选它的顾客中有 ${n} 位也选了这个`],
  [/^goes with what goes with your choices$/, () => "与您所选的搭配相近"],
  [/^often comes after what comes after your choices$/, () => "看过您所选之后，常会走到这里"],
  [/^often comes after (.*); (\d+) shoppers chose both$/s, (_, title, n) => `常在「${title}」之后；${n} 位顾客两样都选了`],
  [/^visits like yours led here$/, () => "与您相似的浏览到了这里"],
  [/^visits like yours came here next$/, () => "与您相似的浏览接着来到这里"],
  [/^shoppers like you chose it$/, () => "与您相似的顾客选了它"],
  [/^you are looking at it now$/, () => "您正在看它"],
  [/^you looked at it just before$/, () => "您刚刚看过它"],
  [/^you (.*) on this visit$/s, (_, what) => `本次浏览中${did(what)}`],
  [/^you came back to it$/, () => "您又回来看它"],
  [/^popular now$/, () => "当前热门"],
  [/^trending now$/, () => "正在走红"],
  [/^(\d+) shoppers chose both this and (.*)$/s, (_, n, title) => `${n} 位顾客同时选了它和「${title}」`],
  [/^resembles (.*)$/s, (_, title) => `与「${title}」相似`],
  [/^fits your interests$/, () => "符合您的兴趣"],
  [/^fits what you like$/, () => "符合您的喜好"],
  [/^fits what you like: (.*)$/s, (_, what) => `符合您的喜好：${what === "its price" ? "价位" : what}`],
  [/^matches what you searched for$/, () => "符合您的搜索"],
  [/^the sequence model expects it next, most of all because you (.*)$/s, (_, what) => `序列模型预计您接着会看它，主要因为${did(what)}`],
  [/^the sequence model expects it next$/, () => "序列模型预计您接着会看它"],
  [/^popular with visitors like you$/, () => "受与您相似的访客欢迎"],
  [/^popular with visitors (.*)$/s, (_, who) => `受${visitors(who)}访客欢迎`],
  [/^by its title, goes with (.*)$/s, (_, title) => `从名称看，与「${title}」相配`],
  [/^what every candidate begins with$/, () => "每个候选的起点"],
  [/^goes with other things you looked at$/, () => "与您看过的其他商品相配"],
  [/^often comes next$/, () => "常在其后"],
  [/^goes with it$/, () => "与它相配"],
  [/^new here$/, () => "新上架"],
  [/^picked by our experts$/, () => "我们的专家推荐"],
];

function reason(text) {
  for (const [pattern, say] of REASONS) {
    const found = pattern.exec(text);
    if (found) return say(...found);
  }
  return text;
}

export const CHINESE = {
  lang: "zh-Hans",
  heading: "为您推荐",
  empty: "暂时没有推荐。",
  why: "为什么？",
  added: "推荐它的全部理由，按系统的加总列出。",
  movedOn: "您的列表已更新，它不在其中了。",
  sum: "得分，即以上之和",
  like: "喜欢",
  notThis: "不要这个",
  close: "关闭",
  forget: "忘记我",
  forgetLead: "这里保存的关于您的一切都会删除：您看过、喜欢、搁置和买过的。此操作无法撤销。",
  keep: "保留",
  forgotten: "已忘记您",
  receipt: "凭据",
  nothing: "没有保存过关于您的内容。",
  anew: "重新开始",
  kinds: {
    view: "浏览", search: "搜索", cart: "加购", favourite: "喜欢", purchase: "购买",
    remove: "移除", impression: "展示", click: "点击", dismiss: "不要",
  },
  of: (label, title) => `${label.replace("？", "")}：${title}`,
  changed: (count, first) => `${count} 个新推荐。第一个：${first}。`,
  reason,
};
