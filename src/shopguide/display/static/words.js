// The page's words: by scene, and in Chinese. English as in the demo shop is the key; what has no other word keeps its own.

import { CHINESE as REASONS } from "./sg-zh.js";

export const scene = document.documentElement.dataset.scene;
export const lang = /^zh/i.test(new URLSearchParams(location.search).get("lang") ?? navigator.language) ? "zh" : "en";

const SCENES = {
  news: {
    "shopguide demo shop": "shopguide demo newspaper",
    "demo shop": "demo newspaper",
    "Skip to products": "Skip to articles",
    "Search the shop": "Search the paper",
    "Search {} products": "Search {} articles",
    "Every click changes what comes next.": "What you read changes what comes next.",
    "Open a product, search, or fill your cart. The guide learns it at once and pushes you a new list: no reload, no waiting.":
      "Open an article or search. The list follows at once: what is new and read now, nothing twice, and after three of one topic in a row less of it.",
    "Nothing to suggest yet. Open any product and your list begins.": "Nothing to suggest yet. Open any article and your list begins.",
    Products: "Articles",
    "No product matches.": "No article matches.",
    "{} of {} products": "{} of {} articles",
    "Similar products": "More like this",
    "{} new products": "{} new articles",
    "Looked at": "Read",
  },
  live: {
    "shopguide demo shop": "shopguide demo live video",
    "demo shop": "demo live video",
    "Skip to products": "Skip to streams",
    "Search the shop": "Search the streams",
    "Search {} products": "Search {} streams",
    "Every click changes what comes next.": "On air now, and what you watch decides.",
    "Open a product, search, or fill your cart. The guide learns it at once and pushes you a new list: no reload, no waiting.":
      "Open a stream or search. The list follows at once, and holds only what is on air: a stream that ends leaves it while you look.",
    "Nothing to suggest yet. Open any product and your list begins.": "Nothing to suggest yet. Open any stream and your list begins.",
    Products: "Streams",
    "No product matches.": "No stream matches.",
    "{} of {} products": "{} of {} streams",
    "Similar products": "Similar streams",
    "{} new products": "Streams that came or went: {}",
    "Looked at": "Watched",
    "Sold out": "Off the air",
  },
};

const CHINESE = {
  "shopguide demo shop": "shopguide 演示商店", "shopguide demo newspaper": "shopguide 演示新闻", "shopguide demo live video": "shopguide 演示直播",
  "demo shop": "演示商店", "demo newspaper": "演示新闻", "demo live video": "演示直播",
  "Skip to products": "跳到商品", "Skip to articles": "跳到文章", "Skip to streams": "跳到直播",
  "Search the shop": "搜索商店", "Search the paper": "搜索新闻", "Search the streams": "搜索直播",
  "Search {} products": "搜索 {} 件商品", "Search {} articles": "搜索 {} 篇文章", "Search {} streams": "搜索 {} 场直播",
  Connecting: "正在连接", Live: "实时", Reconnecting: "正在重连",
  Cart: "购物车", "Cart, {}": "购物车，{} 件", "For you": "为您推荐", "Popular now": "当前热门", "Where you left off": "接着上次",
  "Every click changes what comes next.": "每次点击，都改变接下来的推荐。",
  "What you read changes what comes next.": "读什么，决定接下来读什么。",
  "On air now, and what you watch decides.": "正在直播，由您的观看决定。",
  "Open a product, search, or fill your cart. The guide learns it at once and pushes you a new list: no reload, no waiting.":
    "打开商品、搜索或加入购物车。系统立即学习并推送新的列表：无需刷新，无需等待。",
  "Open an article or search. The list follows at once: what is new and read now, nothing twice, and after three of one topic in a row less of it.":
    "打开文章或搜索，列表立即跟上：新的、正被阅读的在前，读过的不再出现；同一主题连读三篇后，它会减少。",
  "Open a stream or search. The list follows at once, and holds only what is on air: a stream that ends leaves it while you look.":
    "打开直播或搜索，列表立即跟上，且只含正在直播的：结束的直播会当场离开列表。",
  "Nothing to suggest yet. Open any product and your list begins.": "暂无推荐。打开任一商品，您的列表便开始。",
  "Nothing to suggest yet. Open any article and your list begins.": "暂无推荐。打开任一文章，您的列表便开始。",
  "Nothing to suggest yet. Open any stream and your list begins.": "暂无推荐。打开任一直播，您的列表便开始。",
  Products: "商品", Articles: "文章", Streams: "直播", Categories: "分类", All: "全部",
  "No product matches.": "没有匹配的商品。", "No article matches.": "没有匹配的文章。", "No stream matches.": "没有匹配的直播。",
  "{} of {} products": "{} / {} 件商品", "{} of {} articles": "{} / {} 篇文章", "{} of {} streams": "{} / {} 场直播",
  "{} new products": "{} 件新商品", "{} new articles": "{} 篇新文章", "Streams that came or went: {}": "{} 场直播有变化",
  "Show everything": "显示全部", "Show more": "显示更多",
  "What the guide sees": "系统看到的", "No events yet": "还没有事件",
  "Nothing of you yet. Your clicks appear here, each with the time until your screen changed.": "还没有您的事件。您的点击会出现在这里，并附上屏幕更新所用的时间。",
  "Copy the command": "复制命令", "Follow this list in a terminal.": "在终端中跟随此列表。", "Start over as a new visitor": "以新访客重新开始",
  Close: "关闭", "Add to cart": "加入购物车", "Buy now": "立即购买", Favourite: "喜欢", "For you now": "此刻为您推荐",
  "Similar products": "相似商品", "More like this": "更多相似", "Similar streams": "相似直播",
  "Why this?": "为什么推荐它？", "Why?": "为什么？", "Not this": "不要这个", "Why {}?": "为什么推荐 {}？", "Not this: {}": "不要这个：{}",
  "Score, the sum of these": "得分，即以上之和", "Your cart": "您的购物车", "Your cart is empty.": "购物车是空的。", Total: "合计",
  "Buy everything": "全部购买", Remove: "移除", "Remove {}": "移除 {}", "Add {} to the cart": "把 {} 加入购物车",
  "Everything that speaks for it, as the guide added it up.": "推荐它的全部理由，按系统的加总列出。",
  "Your list has moved on, and this is no longer in it.": "您的列表已更新，它不在其中了。",
  "Looked at": "看过", Read: "读过", Watched: "看过", Searched: "搜索", "Into the cart": "加购", Likes: "喜欢", Bought: "购买", "Took back": "取回", Followed: "点击",
  "Sold out": "已售罄", "Off the air": "已下播", "On air, {} watching": "直播中，{} 人在看", "just now": "刚刚",
  "New for you": "为您更新", "Gone: {}": "已移除：{}", "In your cart: {}": "已加入购物车：{}", "Bought: {}": "已购买：{}",
  "Thank you. The guide will not suggest these again.": "谢谢。系统不会再推荐这些。", "You are somebody new.": "您现在是新访客。",
  "That did not reach the guide. Please try again.": "没有送达系统，请重试。",
  "Connection lost, reconnecting. Your list stays, and what you do is kept until then.": "连接中断，正在重连。列表保留，您的操作会暂存。",
  "Your list has a new order": "列表顺序已更新", "{} new in your list": "列表中有 {} 个新推荐", "{}. First: {}.": "{}。第一个：{}。",
  "Changed {} after your click": "点击后 {} 更新", "list #{}": "第 {} 个列表", "list #{}, {} after your click": "第 {} 个列表，点击后 {}", "{}, {} after your click": "{}，点击后 {}",
  "1 event{}{}": "1 个事件{}{}", "{} events{}{}": "{} 个事件{}{}", ", {} typical": "，通常 {}", ", {} of it in the guide": "，其中系统内 {}",
  "{} events learned from everyone{}": "已从所有人学习 {} 个事件{}", ", {} a second": "，每秒 {} 个",
  "Copied. Run it in a terminal beside this window.": "已复制。请在旁边的终端中运行。", "Selected, ready to copy.": "已选中，可以复制。",
  Lighting: "灯具", Furniture: "家具", Kitchen: "厨房", Textiles: "织物", Garden: "花园", Tableware: "餐具", Bags: "箱包", Stationery: "文具", Fragrance: "香氛", Children: "儿童",
  Politics: "政治", Business: "财经", Science: "科学", Sport: "体育", Culture: "文化", Health: "健康", Travel: "旅行", Technology: "科技", Climate: "气候", City: "城市",
  Games: "游戏", Music: "音乐", Cooking: "烹饪", Talk: "谈话", Fitness: "健身", Crafts: "手工", Chess: "棋类", Nature: "自然",
  "The shelves could not be loaded. Please reload the page.": "无法载入，请刷新页面。",
};

/** The text in the page's scene and language; each {} is the next of what is given. */
export function t(text, ...given) {
  const said = SCENES[scene]?.[text] ?? text;
  return (lang === "zh" ? (CHINESE[said] ?? said) : said).replace(/\{\}/g, () => given.shift());
}

/** A reason of the guide as a sentence. */
export const sentence = (text) => (lang === "zh" ? REASONS.reason(text) : text.charAt(0).toUpperCase() + text.slice(1));

/** All that stands in the document, templates too. */
export function translate(root = document) {
  for (const element of root.querySelectorAll("*")) {
    for (const name of ["aria-label", "placeholder"]) {
      if (element.hasAttribute(name)) element.setAttribute(name, t(element.getAttribute(name)));
    }
    for (const node of element.childNodes) if (node.nodeType === 3 && node.data.trim()) node.data = node.data.replace(node.data.trim(), t(node.data.trim()));
    if (element instanceof HTMLTemplateElement) translate(element.content);
  }
}
