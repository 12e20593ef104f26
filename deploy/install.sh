#!/bin/sh
# Installs the program from an unpacked bundle, without network and without root.
#
#   sh install.sh [--prefix FOLDER] [--data FOLDER] [--python COMMAND]
#
# In: the folder that this file lies in. Out: PREFIX/releases/<name>.<time>, to which PREFIX/current leads once a server of it has
# answered a question. DATA/documents, DATA/var and DATA/synonyms.csv are made where they are missing, and never changed.
# Until `current` is turned, in one rename, whatever ran before is as it was. Exit status: 0 done, 1 failed, 2 wrong use.
set -eu
umask 022 # the program belongs to whoever installs it, and runs as another
export LC_ALL=C

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
prefix=${HOME:-/opt}/dxqa
data=''
python=''

fail() {
	echo "$1" >&2
	exit "${2:-1}"
}

usage='使い方： sh install.sh [--prefix 入れる先のフォルダー] [--data 資料と索引のフォルダー] [--python Pythonのコマンド]'
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h)
		echo "$usage"
		echo "  --prefix  プログラムを入れる先（既定 ${prefix}）"
		echo '  --data    資料（documents）・索引や記録（var）・同義語の表を置くところ（既定 --prefix と同じ）'
		echo '  --python  使う Python（既定は見つかったもの）'
		exit 0
		;;
	--prefix | --data | --python)
		if [ $# -lt 2 ] || [ -z "$2" ]; then fail "$1 の後に値がありません。$usage" 2; fi
		case $1 in
		--prefix) prefix=$2 ;;
		--data) data=$2 ;;
		--python) python=$2 ;;
		esac
		shift 2
		;;
	*) fail "「$1」は使えません。$usage" 2 ;;
	esac
done
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
data=${data:-$prefix}
case $data in /*) ;; *) data=$PWD/$data ;; esac

# ---- 1. the bundle itself

for needed in bundle.txt SHA256SUMS; do
	[ -f "$here/$needed" ] || fail "$needed がありません。アーカイブ（.tar）をもう一度展開してください。"
done
echo '1/6 ファイルが壊れていないか確かめています…'
if ! damaged=$(cd -- "$here" && sha256sum --quiet -c SHA256SUMS 2>&1); then
	echo "$damaged" | head -n 5 >&2
	fail "アーカイブが壊れています（上に示したファイルが、作られたときと違います）。何も変えていません。アーカイブをもう一度運び、展開し直してください。"
fi
fact() { sed -n "s/^$1=//p" "$here/bundle.txt"; }
name=$(fact name)
wanted=$(fact python)
machine=$(fact machine)

# ---- 2. the computer

echo '2/6 このコンピューターを確かめています…'
[ "$(uname -m)" = "$machine" ] ||
	fail "このアーカイブは $machine 用ですが、このコンピューターは $(uname -m) です。$(uname -m) のコンピューターで作り直したものを使ってください。"
fits() { "$1" -c "import sys, ssl, sqlite3, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$wanted')" 2>/dev/null; }
if [ -z "$python" ]; then
	for candidate in "python$wanted" python3; do
		if fits "$candidate"; then
			python=$(command -v "$candidate")
			break
		fi
	done
fi
if [ -z "$python" ] || ! fits "$python"; then
	fail "Python $wanted が要ります（見つかったもの：$("${python:-python3}" --version 2>&1 || true)）。OSの配布物から Python $wanted を入れるか、--python で場所を指定してください。別の版の Python で使うには、その版でアーカイブを作り直します。"
fi
mkdir -p -- "$prefix/releases" "$data" 2>/dev/null ||
	fail "$prefix と $data にフォルダーを作れません。書き込める場所を --prefix と --data で指定するか、管理者（root）で動かしてください。"
for folder in "$prefix" "$prefix/releases" "$data"; do
	[ -w "$folder" ] || fail "$folder に書き込めません。書き込める場所を --prefix と --data で指定するか、管理者（root）で動かしてください。"
done
prefix=$(CDPATH='' cd -- "$prefix" && pwd -P)
data=$(CDPATH='' cd -- "$data" && pwd -P)
roomy() { # folder, kilobytes, option
	free_kb=$(df -Pk -- "$1" | awk 'NR == 2 { print $4 }')
	[ "$free_kb" -ge "$2" ] ||
		fail "空き容量が足りません（$1：空き $((free_kb / 1024))MB、必要 $(($2 / 1024))MB）。何も変えていません。空きを増やすか、$3 で別の場所を指定してください。"
}
roomy "$prefix" "$(fact needed_kb)" --prefix
roomy "$data" "$(fact made_kb)" --data

exec 9>"$prefix/.installing"
flock -n 9 || fail 'ほかのインストールが動いています。終わるのを待ってから、もう一度動かしてください。'

# ---- 3. the program; what an interrupted installation left goes first

echo '3/6 プログラムを入れています（1分ほど）…'
for left in "$prefix"/releases/*; do
	if [ -d "$left" ] && [ ! -e "$left/.whole" ]; then rm -rf -- "$left"; fi
done
release=$prefix/releases/$name.$(date +%Y%m%d%H%M%S)
ended() {
	status=$?
	if [ ! -e "$release/.whole" ]; then rm -rf -- "$release"; fi
	if [ "$status" -ne 0 ]; then
		echo "インストールは終わっていません。これまで使っていたものは、そのまま動きます。原因を取り除いてから、同じコマンドをもう一度動かしてください（空き：$(df -Ph -- "$prefix" | awk 'NR == 2 { print $4 }')）。" >&2
	fi
}
trap ended EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cp -R -- "$here/program" "$release"
"$python" -m venv --without-pip "$release/venv"
# no bytecode for all of it: the trial below writes that of what is used, in a fifth of the time
PYTHONPATH=$(echo "$here"/wheels/pip-*.whl) PIP_CONFIG_FILE=/dev/null PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
	"$release/venv/bin/python" -m pip --isolated install -q --no-index --no-deps --no-compile --root-user-action ignore "$here"/wheels/*.whl ||
	fail '部品（パッケージ）を入れられませんでした。理由は上の行にあります。'

# ---- 4. the places of what people bring, outside the release

echo '4/6 資料と索引の置き場所を用意しています…'
owner=$(stat -c %u -- "$data")
group=$(stat -c %g -- "$data")
for own in documents var var/models; do
	if [ ! -e "$data/$own" ]; then
		mkdir -- "$data/$own"
		chown -- "$owner:$group" "$data/$own"
	fi
done
[ -e "$data/synonyms.csv" ] || cp -- "$here/program/synonyms.csv" "$data/synonyms.csv"
if [ ! -e "$prefix/dxqa.env" ]; then
	(umask 077 && cp -- "$here/program/deploy/dxqa.env.example" "$prefix/dxqa.env")
fi

# ---- 5. a trial: it has the models in common with what is in use, and nothing else

echo '5/6 見本の資料で試しています（初めてのときは、モデルを作るので2分ほど）…'
mkdir -- "$release/var"
ln -s -- "$data/var/models" "$release/var/models"
if [ "$(id -u)" = 0 ] && [ "$owner" != 0 ]; then
	# what a service's account has written is not for root to run: that account tries it itself, and cannot leave bytecode here
	"$release/venv/bin/python" -m compileall -q -j 0 "$release" >/dev/null 2>&1 || true
	chown -- "$owner:$group" "$release/var"
	set -- setpriv "--reuid=$owner" "--regid=$group" --clear-groups --no-new-privs env "HOME=$data"
else
	set --
fi
"$@" "$release/venv/bin/python" "$release/deploy/trial.py" ||
	fail '新しいプログラムが答えられませんでした。理由は上の行にあります。'
rm -rf -- "${release:?}/var" "${release:?}/documents" "${release:?}/synonyms.csv"
for own in documents var synonyms.csv; do ln -s -- "$data/$own" "$release/$own"; done

# ---- 6. from now on this one

echo '6/6 切り替えています…'
before=$(readlink -- "$prefix/current" || true)
cp -- "$release/deploy/start.sh" "$prefix/.start.sh"
chmod 755 "$prefix/.start.sh"
touch "$release/.whole"
sync
mv -f -- "$prefix/.start.sh" "$prefix/start.sh"
ln -sfn -- "releases/${release##*/}" "$prefix/.current"
mv -fT -- "$prefix/.current" "$prefix/current"
for old in "$prefix"/releases/*; do
	case $old in
	"$release" | "$prefix/$before") ;; # the one before is kept, to go back to
	*) # so is one that a server still runs from, until another installation
		grep -qsF -- "$old/" /proc/[0-9]*/maps || rm -rf -- "$old"
		;;
	esac
done

echo "入りました：$prefix/current（$name）"
echo "資料のフォルダー：$data/documents"
if [ -n "$before" ]; then
	echo "動いているサーバーは、止めて起動し直すと新しい版になります。前の版に戻すには：ln -sfn $before '$prefix/current'"
fi
echo "起動するには：$prefix/start.sh"
echo 'そのあと http://127.0.0.1:8000/ をブラウザーで開きます。いつも動かしておく方法は docs/installation.md にあります。'
