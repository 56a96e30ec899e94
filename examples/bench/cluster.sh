#!/bin/sh
# Keeps one private PostgreSQL cluster:   cluster.sh BINDIR FOLDER PORT
#
# $PASSWORD and $SETTINGS say the rest. When the server is ready it says "HOME PID", then it waits for its standard
# input to end: the kernel closes that however the benchmark ends, so server and data are always gone afterwards.
# Runs as an ordinary user, for PostgreSQL refuses root.
set -eu
trap '' INT HUP TERM
umask 077
bindir=$1
home=$(mktemp -d "$2/outboxd-bench.XXXXXX")
server=''
# SIGQUIT: the server drops everything at once; its data is thrown away anyhow.
trap '[ -z "$server" ] || { kill -QUIT "$server" && wait "$server"; } 2>/dev/null || true; cd /; rm -rf "$home"' EXIT
cd "$home"

echo "$PASSWORD" >password
"$bindir/initdb" --pgdata data --username postgres --pwfile password --auth scram-sha-256 \
    --encoding UTF8 --locale C --no-sync >initdb.log 2>&1 </dev/null || { cat initdb.log >&2; exit 1; }
rm password
echo "$SETTINGS" >>data/postgresql.conf

# Not its parent's file descriptors: a server that held the standard output would keep its reader waiting.
"$bindir/postgres" -D "$home/data" -p "$3" >log 2>&1 </dev/null &
server=$!
# The eighth line of this file is how the server itself tells pg_ctl.
until sed -n 8p data/postmaster.pid 2>/dev/null | grep -q ready; do
    kill -0 "$server" 2>/dev/null || { server=''; cat log >&2; exit 1; }
    sleep 0.05
done
echo "$home $server"
cat >/dev/null
