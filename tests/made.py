"""Made-up material that several test files share: a case book, minutes, a FAQ, and an encoder to see through."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from index.late import TokenVectors

CASE_BOOK = """窓口の事例集

この資料は架空の見本です。

【1.窓口】

つくし県

令和7年5月1日

1. 窓口の事例集 目次

【凡例】
① : 人口1万人未満の団体
⑤ : 人口1万人以上5万人未満の団体
無し : 人口30万人以上の団体・都道府県

① 待たせない窓口

| | | | | |
|---|---|---|---|---|
| 1 用紙をなくした総合窓口（ＷＥＢ予約） | 【つくし県若草市】 | ⑤ | … | 3 |
| 2 車で回る窓口 | 【つくし県小石原村】 | ① | … | 5 |

② 県の支援

| | | | |
|---|---|---|---|
| 3 研修を市町村と一緒に開催 | 【つくし県】 | … | 6 |

1. 窓口の事例集の構成

<事業概要>

2 車で回る窓口【つくし県小石原村】

事業の概要

- 役場の車が年に99回、集落を回ります。

【担当部署】 小石原村住民課（電話：0000-99-9999、メール：gomi@vill.example.jp）

① 事例の名前

- ・ 事例の名前と団体の名前です。

② 連絡先

- ・ 担当の連絡先です。

1 用紙をなくした総合窓口(WEB予約)【つくし県若草市】



➤ 書く用紙をなくし、職員が聞き取って手続を進める

事業効果

- 待ち時間が平均40分から平均15分に短くなった。

1 用紙をなくした総合窓口(WEB予約)【つくし県若草市】



(つくし県)

工夫している点を教えてください。

来庁の前に予約を受け、家族の構成から必要な手続を調べておきます。研修は各課の手続を2週間ずつ経験します。



(若草市)



今後の展望を教えてください。

転出の手続から、来庁しなくて済むようにします。

【参考情報】 若草市人口：３．２万人（令和7年1月1日現在）

関連URL：若草市の窓口（https://www.city.example.jp/window/）

【担当部署】 若草市市民部窓口課（電話：0000-11-2222、メール：window@city.example.jp）

2 車で回る窓口【つくし県小石原村】

事業の概要

- 役場の車が年に24回、11の集落を回り、証明書を交付します。

担当部署

小石原村住民課くらし係

電話 0000-22-3333

【参考情報】 つくし県人口：80.5万人（令和7年1月1日現在）
【参考情報】 小石原村人口：4,210人（令和7年1月1日現在）

3 研修を市町村と一緒に開催【つくし県】

取組の経緯を教えてください。

市町村の職員から、同じ悩みを持つ仲間と学びたいという声がありました。
"""

MINUTES = """第2回つくし県連携会議議事録

日時	2025年6月2日(月) 10:00~11:00
参加者	県内市町村より計20名

意見交換

■調達の進め方

県が代表して調達し、市町村が参加を選びます。途中で参加をやめるときの違約金は設けな

いこととします。

■費用の分担

利用料は人口1万人未満の団体で月額8千円です。

■質疑応答

(A村)

- ・途中から参加できるのか教えてほしい。

(つくし県)

- ・四半期ごとに参加の時期を設けるので、契約の満了に合わせて参加できる。
"""

FAQ = """# 電子申請のよくある質問

## 申請するとき

### 手数料はどのように払いますか？

クレジットカードか電子マネーで払えます。窓口より50円安くなります。

### 受付の時間を教えてください。

24時間受け付けています。
"""


class FakeEncoder:
    """Hashed character bigrams, unit length: like words are near, and every number can be checked."""

    name = "fake"
    model_fingerprint = "0" * 16

    def __init__(self, dimension: int = 64) -> None:
        self.prompts = {"query": "q: ", "passage": "p: "}
        self.dimension = dimension
        self.encoded: list[str] = []

    def _vector(self, text: str) -> np.ndarray:
        vector = np.full(self.dimension, 1e-3, dtype=np.float32)
        for i in range(len(text) - 1):
            digest = hashlib.sha256(text[i : i + 2].encode("utf-8", "replace")).digest()
            vector[int.from_bytes(digest[:4], "big") % self.dimension] += 1
        return vector / np.linalg.norm(vector)

    def encode_passages(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> np.ndarray:
        self.encoded.extend(texts)
        rows = [self._vector(f"{c}\n{t}") for c, t in zip(contexts or [""] * len(texts), texts, strict=True)]
        if progress is not None:
            progress(len(texts), len(texts))
        return np.stack(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def encode_with_tokens(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        contexts: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, list[TokenVectors] | None]:
        return self.encode_passages(texts, progress, contexts), None

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._vector(text) for text in texts])

    def encode_question(self, text: str) -> tuple[np.ndarray, TokenVectors | None]:
        return self._vector(text), None
