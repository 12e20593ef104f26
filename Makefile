# The targets set up what they need. Variables: PYTHON, PIP_ARGS (passed to pip install), HOST, PORT, BACKUP (a folder), KEEP.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP_ARGS ?=
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

# as many as there are processors, four at the most, and one for each 6 GB of memory
TEST_PROCESSES ?= $(shell n=$$(nproc 2>/dev/null || echo 1); m=$$(awk '/MemTotal/ {print int($$2 / 6000000)}' /proc/meminfo 2>/dev/null || echo 1); \
  [ "$$m" -ge 1 ] || m=1; [ $$n -le $$m ] || n=$$m; [ $$n -le 4 ] && echo $$n || echo 4)

.DEFAULT_GOAL := help
.PHONY: help setup dev tools index serve doctor backup test images check fire format bench bundle clean

help:
	@echo "make serve   準備をして、索引を作り、http://127.0.0.1:8000/ で動かす"
	@echo "make index   documents/ の資料から索引を作り直す"
	@echo "make doctor  どこに問題があるかを調べる（何も変えない）"
	@echo "make backup  控えを作る（BACKUP=控えを置くフォルダー、KEEP=残す数）"
	@echo "make test    準備をして、すべてのテストを動かす"
	@echo "make check   書式・静的検査・型検査・既知の脆弱性"
	@echo "make fire    攻撃・故障・長時間の試験（数時間。SIZE=10 なら短く）"
	@echo "make images  説明書の画面の図を作り直す"
	@echo "make bundle  ネットワークのないサーバーに入れるための、一つのファイルを作る"
	@echo "make bench   速さを測る（DOCUMENTS=資料のフォルダー）"

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 以上が必要です（PYTHON=… で指定できます）。"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python の仮想環境を作れません。Debian・Ubuntu では python3-venv を入れてください。"; exit 2; }
	@touch $@

$(VENV)/.runtime: $(VENV)/.created pyproject.toml
	@echo "必要なパッケージを入れています（初回は数分かかります）…"
	@$(BIN)/python -m pip install -q $(PIP_ARGS) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime pyproject.toml
	@$(BIN)/python -m pip install -q $(PIP_ARGS) -e '.[dev]'
	@touch $@

setup: $(VENV)/.runtime

dev: $(VENV)/.dev

# The tests use a real browser and a real office; where these cannot be installed they say so and leave those tests out.
tools:
	@{ command -v chromium && command -v soffice && command -v strace && ls /usr/lib/*/faketime; } >/dev/null 2>&1 || { echo "テスト用のブラウザー（chromium）・LibreOffice・日本語フォントを入れています…"; \
	  $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	  chromium fonts-noto-cjk strace libfaketime libreoffice-writer-nogui libreoffice-impress-nogui libreoffice-calc-nogui >/dev/null; } \
	  || echo "chromium か LibreOffice を入れられないので、それを使うテストを省きます。"
	@{ command -v systemd-analyze && command -v openssl && command -v unshare && command -v curl; } >/dev/null || { $(SUDO) apt-get update -qq \
	  && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd openssl util-linux curl >/dev/null; } \
	  || echo "systemd・openssl・curl のどれかを入れられないので、それを使うテストを省きます。"
# nginx is unpacked only: installed, it would begin to serve this computer
	@{ PATH="$$PATH:/usr/sbin:var/tools/usr/sbin" command -v nginx; } >/dev/null || { mkdir -p var/tools && cd var/tools \
	  && $(SUDO) apt-get update -qq && apt-get download -qq nginx && dpkg -x nginx_*.deb .; } \
	  || echo "nginx を取得できないので、それを使うテストを省きます。"

index: setup
	@$(BIN)/python build_index.py

serve: setup
	@$(BIN)/python server.py $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT))

doctor: setup
	@$(BIN)/python -m ops doctor

backup: setup
	@[ -n "$(BACKUP)" ] || { echo "控えを置くフォルダーを指定してください：make backup BACKUP=/…/控え"; exit 2; }
	@$(BIN)/python -m ops backup "$(BACKUP)" $(if $(KEEP),--keep $(KEEP))

# A file of tests stays in one process.
test: dev tools
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

# The pictures of the README, from the test that walks through the product.
images: dev tools
	@DXQA_IMAGES=docs/images $(BIN)/python -m pytest tests/test_tour.py

check: dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy access corpus index integrations ops qa web database.py options.py server.py build_index.py mcp_stdio.py benchmarks deploy
	@$(BIN)/python .ci/audit.py

# All that tests/test_fire_*.py try, in full size: some hours on two processors. The table is printed and kept in var/fire.json.
fire: dev tools
	@DXQA_FIRE=$(or $(SIZE),full) DXQA_FIRE_DROPPED_S=45 $(BIN)/python -m pytest tests/test_fire_*.py

format: dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Everything that a server without a network needs, in var/bundle/; docs/installation.md says how it is used.
bundle: setup
	@$(BIN)/python deploy/bundle.py $(PIP_ARGS)

bench: dev
	@$(BIN)/python benchmarks/speed.py $(if $(DOCUMENTS),--documents $(DOCUMENTS))

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
