"""The words of the demonstration corpus.

Words that sound alike are never in the same list, so that the context of a sound always determines its characters.
"""

from __future__ import annotations

LETTER_WORDS = ("API", "PPT", "KPI", "APP", "GPU", "CPU", "SQL", "PDF", "VIP", "USB", "CEO", "HR", "AI", "IT")
"""English abbreviations, spoken letter by letter; one token per letter."""

WHOLE_WORDS = (
    *("email", "demo", "server", "python", "model", "online", "team"),
    *("code", "excel", "wifi", "bug", "cloud", "office", "linux"),
)
"""English words that are one token."""

SPLIT_WORDS = {
    "deadline": ("dead@@", "line"),
    "dashboard": ("dash@@", "board"),
    "feedback": ("feed@@", "back"),
    "database": ("data@@", "base"),
    "backup": ("back@@", "up"),
    "update": ("up@@", "date"),
    "offline": ("off@@", "line"),
    "workshop": ("work@@", "shop"),
    "keyword": ("key@@", "word"),
    "keyboard": ("key@@", "board"),
    "framework": ("frame@@", "work"),
    "transformer": ("trans@@", "form@@", "er"),
    "docker": ("dock@@", "er"),
    "browser": ("brow@@", "ser"),
}
"""English words that are several tokens; `@@` says that the next token continues the word."""

_SURNAMES = """
王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗 梁 宋 郑 谢 韩 唐 冯 董 萧 程 曹 袁 邓 许 傅 沈
曾 彭 吕 苏
"""
_GIVEN = """
建国 秀英 志强 丽华 海燕 晓明 文静 国庆 雪梅 俊杰 淑芬 振东 玉兰 伟民 桂芳 思远 佳怡 浩然 雨桐 子涵
"""
_TITLES = """
经理 主任 老师 总监 教授 医生 工程师 先生 女士 律师 同学 师傅 博士 处长 秘书 会计
"""
_LISTS = """
team: 研发部 市场部 财务部 人事部 客服部 产品组 测试组 运维组 法务部 采购部 设计组 销售部 物流部 算法组
  安全组 数据组
doc: 会议纪要 项目计划 预算报告 合同草案 需求文档 测试报告 设计图纸 用户手册 年度总结 招聘启事 调查问卷
  报价单 发票 工作日志 培训材料 演讲稿 技术方案 采购清单 审计意见 风险评估
task: 接口联调 数据迁移 性能优化 系统升级 客户回访 库存盘点 安全检查 版本发布 用户访谈 现场安装 设备维修
  账单核对 新员工培训 模型训练 网络改造 压力测试 页面改版 合同续签 供应商谈判 市场推广
room: 一号会议室 大会议厅 培训教室 二楼办公室 前台 食堂 地下车库 实验室 图书馆 报告厅 休息区 阳台 电梯口
  资料室 演播室
city: 北京 上海 广州 深圳 杭州 南京 成都 重庆 武汉 西安 天津 苏州 长沙 青岛 大连 厦门 昆明 郑州 哈尔滨
  乌鲁木齐 拉萨 贵阳 福州 沈阳 合肥 兰州 海口 桂林 洛阳 敦煌
country: 法国 德国 英国 美国 日本 韩国 俄罗斯 巴西 印度 埃及 泰国 加拿大 意大利 西班牙 澳大利亚 墨西哥
  新加坡 荷兰 瑞士 希腊
weekday: 星期一 星期二 星期三 星期四 星期五 星期六 周末 下周三 本周五 上周一
day: 今天 明天 昨天 后天 前天 月底 年初 春节 元旦 国庆节 中秋节 端午节
part: 上午 下午 晚上 早晨 中午 傍晚 凌晨 半夜
weather: 晴天 多云 小雨 暴雨 大雪 雷阵雨 沙尘暴 台风 冰雹 浓雾 寒潮 霜冻 雨夹雪 阴转晴
food: 米饭 面条 饺子 包子 豆腐 牛肉 羊肉 鸡蛋 鱼汤 烤鸭 火锅 馒头 粥 蔬菜 辣椒 茄子 土豆 黄瓜 西红柿 蘑菇
  萝卜 白菜 虾仁 螃蟹 红烧肉 糖醋排骨 酸辣粉 春卷 油条 粽子 月饼 汤圆
fruit: 苹果 香蕉 葡萄 西瓜 草莓 橙子 柠檬 桃子 樱桃 荔枝 芒果 菠萝 柿子 石榴 枇杷
drink: 绿茶 红茶 咖啡 牛奶 果汁 豆浆 矿泉水 啤酒 白酒 酸奶
animal: 熊猫 老虎 狮子 大象 猴子 狐狸 兔子 松鼠 骆驼 海豚 鲸鱼 企鹅 孔雀 鹦鹉 乌龟 蝴蝶 蜜蜂 蜘蛛 鳄鱼 袋鼠
  麻雀 蝙蝠 蜻蜓 长颈鹿
plant: 玫瑰 牡丹 菊花 兰花 竹子 松树 柳树 荷花 梅花 向日葵 仙人掌 银杏 枫叶 水稻 小麦 玉米 棉花 甘蔗
sport: 篮球 足球 排球 网球 羽毛球 乒乓球 游泳 跑步 滑雪 射箭 击剑 举重 跳高 体操 拳击 骑马 攀岩 太极拳
instrument: 钢琴 小提琴 吉他 古筝 琵琶 笛子 二胡 唢呐 架子鼓 萨克斯
subject: 数学 物理 化学 历史 地理 哲学 经济学 心理学 天文学 建筑学 统计学 语言学 生物学 法学 社会学
concept: 万有引力 光合作用 供求关系 概率分布 遗传规律 文艺复兴 工业革命 能量守恒 板块运动 神经网络
  贝叶斯定理 微积分 相对论 通货膨胀 边际效应 牛顿定律 细胞分裂 条件反射 丝绸之路 量子力学 傅里叶变换
  机器学习 语音识别 信号处理
scientist: 牛顿 爱因斯坦 达尔文 伽利略 居里夫人 祖冲之 张衡 李时珍 沈括 图灵 高斯 欧拉
dynasty: 秦朝 汉朝 唐朝 宋代 明朝 清朝 春秋时期 战国末年 三国时代 魏晋南北朝
industry: 钢铁 煤炭 汽车 纺织 电子 医药 旅游 教育 农业 物流 半导体 新能源 房地产 保险 餐饮
goods: 手机 电脑 冰箱 洗衣机 空调 书包 雨伞 眼镜 手表 沙发 台灯 衬衫 皮鞋 毛衣 裤子 围巾 手套 牙膏 毛巾 肥皂
  剪刀 锤子 螺丝 电池 充电器 耳机 键盘 鼠标 显示器 打印机
vehicle: 地铁 公交车 出租车 高铁 飞机 自行车 轮船 摩托车 救护车 卡车 缆车
site: 机场 火车站 医院 学校 银行 超市 公园 博物馆 体育馆 邮局 派出所 加油站 电影院 菜市场 动物园 植物园 码头
  寺庙 古镇 城墙 广场 桥梁 隧道 高速公路
body: 头 眼睛 耳朵 鼻子 嗓子 胳膊 膝盖 肩膀 胃 腰 牙齿 手腕 脚踝 脖子 皮肤
illness: 感冒 发烧 咳嗽 过敏 失眠 高血压 糖尿病 肺炎 骨折 头晕
adjective: 重要 复杂 简单 紧急 合理 昂贵 便宜 清楚 模糊 稳定 危险 完整 漂亮 干净 潮湿 干燥 安静 热闹 古老
  新鲜 困难 有趣 枯燥 宽敞 狭窄 坚固 脆弱 灵活 准确 详细
feeling: 高兴 难过 惊讶 愤怒 害怕 感动 遗憾 骄傲 疲倦 着急 孤独 满意 失望 幸福 羡慕 好奇
quality: 质量 价格 速度 效率 成本 利润 温度 湿度 面积 重量 颜色 形状 尺寸 性能 服务态度
change: 上升 下降 增加 减少 提高 降低 翻倍 扩大 缩小 恢复 波动 反弹
material: 木头 玻璃 塑料 橡胶 水泥 铜 铝合金 陶瓷 丝绸 羊毛 皮革 纸板
color: 红色 蓝色 绿色 黄色 黑色 白色 紫色 灰色 棕色 粉色 橘色 金色
job: 警察 农民 司机 厨师 演员 记者 护士 木匠 画家 诗人 导演 裁缝 消防员 飞行员 邮递员 清洁工 理发师 翻译
  渔民 牧羊人
relative: 爸爸 妈妈 爷爷 奶奶 哥哥 姐姐 弟弟 妹妹 叔叔 舅舅 姑姑 邻居 朋友 同事 孩子 丈夫 妻子
nature: 高山 河流 湖泊 沙漠 森林 草原 海洋 岛屿 冰川 峡谷 瀑布 火山 盆地 平原 沼泽 海湾 洞穴 悬崖
artwork: 油画 雕塑 书法 剪纸 刺绣 京剧 舞蹈 相声 小说 散文 诗歌 话剧 交响乐 纪录片 动画片
idiom: 一鸣惊人 画蛇添足 守株待兔 井底之蛙 胸有成竹 对牛弹琴 亡羊补牢 狐假虎威 掩耳盗铃 杯弓蛇影 愚公移山
  刻舟求剑 叶公好龙 滥竽充数 自相矛盾 完璧归赵 破釜沉舟 卧薪尝胆 纸上谈兵 指鹿为马 三顾茅庐 草船借箭
  望梅止渴 闻鸡起舞 悬梁刺股 凿壁偷光 铁杵磨针 滴水穿石 塞翁失马 朝三暮四 雪中送炭 锦上添花 画龙点睛
  鹤立鸡群 虎头蛇尾 马到成功 龙飞凤舞 鸡飞狗跳 九牛一毛 如鱼得水 风和日丽 鸟语花香 山清水秀 春暖花开
  秋高气爽 冰天雪地 电闪雷鸣 倾盆大雨 万里无云 繁星满天 兴高采烈 眉开眼笑 垂头丧气 心惊胆战 目瞪口呆
  哑口无言 滔滔不绝 口若悬河 理直气壮 斩钉截铁 持之以恒 坚持不懈 脚踏实地 精益求精 全力以赴 齐心协力
  雷厉风行 循序渐进 举一反三 温故知新 半途而废 粗心大意 马马虎虎 得过且过 敷衍了事 手忙脚乱 井井有条
  有条不紊 一丝不苟 小心翼翼 五颜六色 七上八下 四面八方 十全十美 千军万马 百发百中 三心二意 两全其美
  独一无二 一举两得 车水马龙 人山人海 络绎不绝 门庭若市 灯火辉煌 琳琅满目 供不应求 物美价廉 名列前茅
  家喻户晓
poem: 床前明月光 疑是地上霜 举头望明月 低头思故乡 白日依山尽 黄河入海流 欲穷千里目 更上一层楼 春眠不觉晓
  处处闻啼鸟 夜来风雨声 花落知多少 锄禾日当午 汗滴禾下土 谁知盘中餐 粒粒皆辛苦 两个黄鹂鸣翠柳 一行白鹭上青天
  飞流直下三千尺 疑是银河落九天 朝辞白帝彩云间 千里江陵一日还 海内存知己 天涯若比邻 野火烧不尽 春风吹又生
verb_doc: 整理 检查 修改 提交 打印 翻译 更新 归档 审核 签署 转发 保存 删除 补充 校对 复印
verb_task: 负责 启动 完成 推迟 跟进 取消 安排 支持 暂停 验收 讨论 推动
opinion: 我觉得 我认为 大家都说 据我了解 客户反映 专家指出 有人建议 数据显示 老实说 简单来说 换句话说
  总的来看
connect: 因此 不过 另外 同时 所以 首先 其次 最后 接下来 事实上 比如说 当然
reason: 网络不稳定 人手不够 预算有限 天气突然变化 供应商没有按时交货 设备出了故障 客户改变了主意 路上堵车
  系统正在维护 大家意见不统一 材料还没有准备好 法律不允许 汇率变动太大 钥匙丢了 电源被切断了
result: 我们只好改天再谈 计划要往后推一周 成本可能会超支 发布时间需要重新确定 演出被迫取消 工厂停产了三天
  航班延误了两个小时 价格涨了不少 大家都很着急 这件事就这样算了 我们得另想办法 老板决定加班
plan: 先做一个小规模的试验 重新分配任务 请外面的顾问帮忙 把流程写清楚 每天早上开个短会 增加一台备用机器
  跟客户当面沟通 把旧的功能下线 建立一套监控 邀请用户参加测试 分三个阶段推进 给新人配一位导师
habit: 散步 读书 钓鱼 养花 做饭 下棋 爬山 拍照 画画 唱歌 跳绳 写日记 打扫房间 修理家具 听音乐 看电影
  喝茶聊天 逛街
crime: 偷窃 诈骗 酒后驾驶 走私 伪造证件 非法集资 抢劫
"""


def _read_lists(text: str) -> dict[str, list[str]]:
    """`name: word word …`, continued on indented lines → {name: words}."""
    lists: dict[str, list[str]] = {}
    for line in text.strip().split("\n"):
        name, colon, words = line.partition(":")
        if colon:
            lists[name] = words.split()
        else:
            lists[next(reversed(lists))].extend(line.split())
    return lists


SURNAMES, GIVEN, TITLES = (tuple(names.split()) for names in (_SURNAMES, _GIVEN, _TITLES))
"""Surnames, given names and titles: a person is a surname with one of the others."""

WORDS = _read_lists(_LISTS) | {"english": [*LETTER_WORDS, *WHOLE_WORDS, *SPLIT_WORDS]}
"""The words that may stand in a slot of `patterns.py`, by the slot's name."""
