/** The server that is rebuilt: nginx before a small application with data in PostgreSQL and Redis, and what else a server gathers. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DebianRoot } from "../../support/debian.ts";
import type { AptRepository } from "../../support/apt-repository.ts";
import { makeTree } from "../../support/tree.ts";

export const PORTS = { page: 58_080, app: 58_081, sql: 55_432, redis: 56_379 };
export const ORDERS = 5000;

/** Of Debian. */
export const SHOP_PACKAGES = "nginx-light postgresql redis-server cron python3 acl libcap2-bin procps curl ca-certificates sudo";

const APP = `#!/usr/bin/python3
import http.server, subprocess, sys
if len(sys.argv) > 1: sys.exit()  # what cron asks of it
def ask(*argv): return subprocess.run(argv, capture_output=True, text=True).stdout.strip()
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/ping": body = "pong"
        else:
            orders = ask("psql", "-h", "/var/run/postgresql", "-p", "${PORTS.sql}", "-At", "-c", "select count(*), sum(total) from orders", "shop")
            visits = ask("redis-cli", "-p", "${PORTS.redis}", "get", "visits")
            body = "orders %s visits %s" % (orders, visits)
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body.encode())
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", ${PORTS.app}), Page).serve_forever()
`;

const INIT_SCRIPT = `#!/bin/sh
### BEGIN INIT INFO
# Provides:          shop
# Required-Start:    $local_fs $network postgresql redis-server
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:
# Short-Description: the shop
### END INIT INFO
case "$1" in
  start) start-stop-daemon --start --background --make-pidfile --pidfile /run/shop.pid --chuid shop --exec /usr/bin/python3 -- /srv/shop/app.py ;;
  stop) start-stop-daemon --stop --oknodo --retry 5 --pidfile /run/shop.pid ;;
  restart) $0 stop; $0 start ;;
  status) start-stop-daemon --status --pidfile /run/shop.pid ;;
esac
`;

const UNIT = "[Unit]\nDescription=the shop\nAfter=network.target postgresql.service redis-server.service\n[Service]\nUser=shop\nExecStart=/usr/bin/python3 /srv/shop/app.py\n[Install]\nWantedBy=multi-user.target\n";

/** Installs and fills it. What it needs of the network it gets here. */
export async function installShop(root: DebianRoot, acme: AptRepository): Promise<void> {
  makeTree(root.path, {
    "etc/apt/sources.list.d/acme.list": acme.sourceLine("/etc/apt/keyrings/acme.gpg"),
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
    "srv/shop/app.py": APP,
    "etc/systemd/system/shop.service": UNIT,
    "etc/init.d/shop": INIT_SCRIPT,
    "etc/cron.d/shop": "17 * * * * shop /srv/shop/app.py --report\n",
    "etc/sysctl.d/shop.conf": "vm.swappiness = 11\n",
    "etc/network/interfaces": "# of the old machine\n",
    "etc/fstab": "/dev/old / ext4 defaults 0 1\n",
    "usr/local/bin/shop-tool": "#!/bin/sh\necho tool\n",
    "home/alice/notes.txt": "mine\n",
  });
  writeFileSync(join(root.path, "etc/apt/keyrings/acme.gpg"), acme.keyring, { flag: "w" });
  await root.must(`chmod 755 /usr/sbin/policy-rc.d /etc/init.d/shop /srv/shop/app.py /usr/local/bin/shop-tool
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq; apt-get install -y -qq --no-install-recommends ${SHOP_PACKAGES} acme-agent > /tmp/install.log 2>&1 || { tail -30 /tmp/install.log; exit 1; }
rm /usr/sbin/policy-rc.d
adduser --system --group --home /srv/shop --no-create-home shop
useradd -M -u 1000 -s /bin/bash alice; echo 'alice:correct horse' | chpasswd; usermod -aG sudo alice
echo '*/5 * * * * /srv/shop/app.py --tick' | crontab -u alice -
cp /bin/true /usr/local/bin/shop-ping; setcap cap_net_raw+ep /usr/local/bin/shop-ping
mkdir -p /srv/shop/secret; echo s3cr3t > /srv/shop/secret/key; chown -R shop:shop /srv/shop; chmod 600 /srv/shop/secret/key; setfacl -m u:alice:r /srv/shop/secret/key
chown -R alice:alice /home/alice
sed -i 's/^port .*/port ${PORTS.sql}/' /etc/postgresql/15/main/postgresql.conf
sed -i 's/^port .*/port ${PORTS.redis}/; s/^appendonly .*/appendonly yes/' /etc/redis/redis.conf
printf 'server { listen 127.0.0.1:${PORTS.page}; location / { proxy_pass http://127.0.0.1:${PORTS.app}; } }\\n' > /etc/nginx/sites-enabled/default
mkdir -p /etc/systemd/system/multi-user.target.wants; ln -sf /etc/systemd/system/shop.service /etc/systemd/system/multi-user.target.wants/shop.service; update-rc.d shop defaults`);
  // PostgreSQL's port stands as `port = 5432`.
  await root.must(`sed -i 's/^#\\?port = .*/port = ${PORTS.sql}/' /etc/postgresql/15/main/postgresql.conf; grep -n "^port" /etc/postgresql/15/main/postgresql.conf`);
}

export const START = "/etc/init.d/postgresql start >/dev/null; /etc/init.d/redis-server start >/dev/null; /etc/init.d/nginx start >/dev/null; /etc/init.d/shop start >/dev/null; sleep 1";

/** Data, once the services run. */
export const FILL = `runuser -u postgres -- psql -q -p ${PORTS.sql} -c "create role shop login" -c "create database shop owner shop encoding 'UTF8' template template0"
runuser -u postgres -- psql -q -p ${PORTS.sql} shop -c "set role shop; create table orders (id serial primary key, customer text not null, total numeric(10,2) not null); insert into orders (customer, total) select 'Kunde ' || n, n / 7.0 from generate_series(1, ${ORDERS}) n"
redis-cli -p ${PORTS.redis} set visits 4711 >/dev/null; redis-cli -p ${PORTS.redis} save >/dev/null`;

export const HEALTH = `
health:
  - {name: page, http: {url: "http://127.0.0.1:${PORTS.page}/", text: "orders ${ORDERS}|"}}
  - {name: redis, tcp: "127.0.0.1:${PORTS.redis}"}
  - {name: orders, sql: {engine: postgresql, database: shop, port: ${PORTS.sql}, statement: "select count(*) from orders", expect: ${ORDERS}, runAs: postgres}}
  - {name: tool, command: {run: [/usr/local/bin/shop-tool]}}
  - {name: load, load: {url: "http://127.0.0.1:${PORTS.page}/ping", rate: 40, duration: 3s, p95: 500ms}}
`;

export const DATABASES = `
databases:
  - {type: postgresql, name: main, port: ${PORTS.sql}}
  - {type: redis, name: cache, port: ${PORTS.redis}}
`;
