"""The sentence patterns of the demonstration corpus: meetings, calls, lectures, broadcasts, daily talk.

A `{slot}` is filled with a word from the list of that name in `vocabulary.py`, or by a generator in `text.py`.
"""

from __future__ import annotations

_MEETINGS = """
{day}{part}{clock}，我们在{room}开会，讨论{task}。
请{team}把{doc}发给{person}，{weekday}之前{verb_doc}好。
{person}，{doc}什么时候可以提交？
{opinion}，{task}非常{adjective}，需要{count}个人一起做。
因为{reason}，所以{result}。
{connect}，{team}会{verb_task}{task}，{person}来协调。
这个季度的{quality}{change}了{percent}，比去年好很多。
{task}的负责人是谁？
我们要不要{plan}？
{opinion}，我们应该{plan}，{connect}{plan}。
{person}刚才提到的问题很{adjective}，请大家考虑一下。
{team}、{team}和{team}都同意这个方案。
关于{task}，{person}有三点意见，第一是{plan}，第二是{plan}。
如果{reason}，{task}还能按时完成吗？
{doc}里面的数字不对，应该是{number}，不是{number}。
散会以后，请{person}到{room}来一下。
预算一共是{money}，已经用了{percent}。
好的，那就这样定了，{weekday}再见。
{person}今天请假，会议由{person}主持。
虽然{reason}，但是我们还是要{plan}。
有没有其他问题？
没有问题的话，我们进入下一项，{task}。
"""

_ENGLISH = """
请把{english}的{doc}发给我，我{weekday}要用。
{person}，你的{english}做完了吗？
这个{english}的{quality}还不够好，需要{verb_doc}一下。
我们用{english}来做{task}，{connect}{plan}。
{team}的{english}和{english}都准备好了。
{day}的{english}出了问题，因为{reason}。
{opinion}，这个{english}比上一个更{adjective}。
新来的同事不会用{english}，请{person}教他一下。
{english}什么时候可以上线？
{person}在{english}里面写了{count}条意见。
客户想看{english}，时间是{day}{part}{clock}。
没有{english}，{task}就没法开始。
下个月我们要换一个新的{english}，{team}已经在准备了。
"""

_CALLS = """
您好，这里是客服中心，请问有什么可以帮您？
我上个月买的{goods}坏了，可以退货吗？
请问您的订单号码是多少？
订单号码是{digits}，收货人姓{surname}。
我想预订{count}张去{city}的{vehicle}票，{day}{part}出发。
{goods}是{color}的，大小正好，就是{quality}有点问题。
请您稍等，我帮您查一下。
我的电话是{digits}，{part}给我打电话就行。
{goods}的价格是{money}，可以开发票吗？
非常抱歉，因为{reason}，您的包裹还没有送到。
一共是{money}，您用现金还是刷卡？
我要投诉，你们的{quality}太差了！
医生，我{body}疼，已经{count}天了，要不要吃药？
最近{illness}的人很多，出门要戴口罩，多喝水。
请把{goods}寄到{city}，地址我发短信给您。
这个{goods}是用{material}做的，很{adjective}，不要放在水里。
你怎么又忘了带{goods}？
"""

_LECTURES = """
今天我们学习{concept}，请同学们打开课本第{number}页。
{concept}是{subject}里面一个{adjective}的概念。
{scientist}在{country}提出了{concept}吗？
这道题的答案是{number}，你算对了吗？
{dynasty}的时候，{city}已经是一座{adjective}的城市。
{year}，{scientist}的著作第一次被翻译成中文。
下面举一个例子，一只{animal}的寿命大约是{count}年。
{animal}、{animal}和{animal}有什么区别？
{nature}和{nature}是怎样形成的？
{plant}喜欢阳光，{plant}不怕寒冷。
成语{idiom}是什么意思？
老师用{idiom}和{idiom}来形容他的做法。
请大家背诵这一句，{poem}，{poem}。
学习{subject}要{idiom}，不能{idiom}。
实验的结果表明，温度每{change}一度，{quality}就会{change}{percent}。
选修{subject}的学生有{number}人，选修{subject}的只有{number}人。
{concept}和{concept}之间有什么联系？
作业请在{weekday}之前交给{person}。
"""

_BROADCASTS = """
{city}{day}{weather}，最高气温{degrees}度，最低气温{degrees}度。
受{weather}影响，{city}到{city}的{vehicle}全部停运。
{year}，{country}的{industry}产量{change}了{percent}。
{country}总统{day}抵达{city}，将进行为期{count}天的访问。
{city}{site}发生火灾，幸好没有人员伤亡。
在昨晚的{sport}比赛中，{country}队以{score}战胜了{country}队。
{industry}、{industry}和{industry}的股票全线{change}。
记者从{city}了解到，当地的{plant}今年大丰收。
警方抓获了{count}名涉嫌{crime}的嫌疑人。
一条新的{vehicle}线路将在{year}建成，总投资{money}。
{city}博物馆展出了{dynasty}的{artwork}，吸引了{number}名观众。
在{country}的{nature}附近，人们发现了一种罕见的{animal}。
{weekday}{part}，{city}的{site}附近交通拥堵，请绕行。
专家提醒，{illness}的病人应该少吃{food}，多吃{fruit}。
据统计，{percent}的家庭已经有了{goods}和{goods}。
这部{artwork}获得了国际大奖，导演是{country}人。
现在是北京时间{clock}，欢迎收听新闻节目。
"""

_DAILY = """
{relative}喜欢吃{food}，不喜欢吃{food}。
晚饭我们吃{food}、{food}，再喝一碗{drink}，怎么样？
{relative}{part}在{site}{habit}，心情很{feeling}。
{relative}想买一件{color}的{goods}，但是{money}太贵了。
周末你想去{habit}还是{habit}？
从{site}到{site}坐{vehicle}要{minutes}分钟。
{relative}是一名{job}，{relative}是{job}。
我小时候的梦想是当{job}，现在却做了{job}。
你会弹{instrument}吗？
{relative}每天练习{instrument}，已经{idiom}。
{fruit}多少钱一斤？
我家的{animal}今年{count}岁了，非常{feeling}。
{site}里面{idiom}，到处都是{color}的{plant}。
{relative}听到这个消息以后{idiom}，感到很{feeling}。
那片{nature}真{adjective}，我们在那里住了{count}个晚上。
{person}做事{idiom}，从来不{idiom}。
把{goods}和{goods}放进箱子里，别忘了{fruit}。
{day}是{relative}的生日，我们准备了{food}和{drink}。
为什么{animal}会怕{animal}？
你知道{site}在哪里吗？
{relative}说{vehicle}比{vehicle}快，你同意吗？
他喜欢{sport}，也喜欢{sport}，最近还学会了{habit}。
"""

PATTERNS: tuple[str, ...] = tuple(
    line
    for group in (_MEETINGS, _ENGLISH, _ENGLISH, _CALLS, _LECTURES, _BROADCASTS, _DAILY)
    for line in group.replace("！", "。").split("\n")
    if line
)
"""Every pattern; those with English words stand twice, so that they are met twice as often."""
