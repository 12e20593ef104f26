"""Checks of the model and the tokenizer: there, whole, and giving what they should.

In: `Examined`. Out: findings. The words that they are tried with are made up.
"""

from __future__ import annotations

import numpy as np

from index.model_folder import ModelNotFoundError
from index.openvino_backend import is_whole as is_whole_quantized
from index.tokenizer import tokenize, tokenizer_name
from ops.examined import Examined
from ops.finding import Finding, notice, skipped, well, wrong

WORDS = "職員5人が進めた", ["職員", "5", "人", "5人", "進める"]
QUESTION = "職員の研修は何課が担当していますか。"
NEAR, FAR = "職員の研修は、職員課が担当しています。", "窓口の電話番号は次のとおりです。"


def check_model(examined: Examined) -> Finding:
    """The model's folder is there, and no file of it is missing or cut off."""
    name, folder = "モデル", examined.model_folder
    if folder is None:
        if examined.is_default_model:
            return wrong(
                name,
                f"{examined.args.models} に既定のモデルがありません",
                "server.py か build_index.py を動かすと、作られます（約20秒）",
            )
        return wrong(
            name,
            f"「{examined.args.model}」がありません",
            "--model（DXQA_MODEL）のフォルダーを確かめてください",
        )
    if examined.model_problem is not None:
        return wrong(
            name,
            examined.model_problem,
            "server.py か build_index.py を動かすと、作り直されます（約20秒）"
            if examined.is_default_model
            else "モデルのフォルダーを、元の場所から写し直してください",
        )
    return well(name, f"{examined.model_name}（{examined.model_fingerprint}）")


def check_quantized(examined: Examined) -> Finding:
    """The model in 8 bits is there where it would be used."""
    name, folder = "8ビットのモデル", examined.quantized_folder
    if folder is None:
        if examined.wanted_precision == "int8":
            return skipped(name, "モデルがない")
        return well(name, f"使いません（{examined.wanted_precision}）")
    if not folder.exists():
        return notice(
            name,
            "まだありません",
            "server.py を初めて動かすときに作られます（約1分）。作れないコンピューターでは、変換せずに動きます",
        )
    if not is_whole_quantized(folder):
        return wrong(
            name,
            f"{folder} のファイルが足りないか、途中で切れています",
            "server.py を起動し直すと、作り直されます（約1分）",
        )
    return well(name, "あります")


def check_tokenizer(_: Examined) -> Finding:
    """The dictionary cuts a known text into the words that it should."""
    text, expected = WORDS
    found = tokenize(text)
    if found != expected:
        return wrong(
            "単語分割",
            f"「{text}」が {'・'.join(found)} に分かれます（正しくは {'・'.join(expected)}）",
            "fugashi と unidic-lite を入れ直してください（make setup）",
        )
    return well("単語分割", tokenizer_name())


def check_encoder(examined: Examined) -> Finding:
    """The model gives vectors of unit length, and a question is nearer to its answer than to something else."""
    name = "モデルの計算"
    if examined.model_problem is not None:
        return skipped(name, "モデルが揃っていない")
    advice = (
        "パッケージとモデルを確かめ、モデルのフォルダーを別の名前にしてから server.py を起動し直してください"
    )
    try:
        encoder = examined.encoder
    except ModelNotFoundError as error:
        return wrong(name, str(error), advice)
    question, _ = encoder.encode_question(QUESTION)
    near, far = encoder.encode_passages([NEAR, FAR])
    lengths = [float(np.linalg.norm(vector)) for vector in (question, near, far)]
    if not all(abs(length - 1) < 1e-3 for length in lengths):  # also refuses NaN
        return wrong(
            name,
            f"ベクトルの長さが1ではありません（{max(lengths, key=lambda value: abs(value - 1)):.3f}）",
            advice,
        )
    right, other = float(question @ near), float(question @ far)
    if not right > other:
        return wrong(
            name, f"質問に近いはずの文が、関係のない文より遠くなります（{right:.3f}・{other:.3f}）", advice
        )
    return well(name, f"{encoder.backend.name}、{encoder.dimension}次元")


CHECKS = (check_model, check_quantized, check_tokenizer, check_encoder)
