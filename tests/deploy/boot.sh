#!/bin/sh
# boot.sh ROOT PYTHON PACKAGES SOURCES: systemd with the units in ROOT/units and the files in ROOT/etc, as the first
# process of a machine of its own: namespaces, a control group, and all that it writes in memory. /opt/postwatch is made
# of a Python's folder, the packages that are installed and the sources. To be run by `unshare --mount --pid --fork
# --ipc --uts --kill-child`, from within a control group of its own.
set -eu
root=$1 python=$2 packages=$3 sources=$4

mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=0755 tmpfs /mnt
cp -a /etc /mnt/etc
rm -rf /mnt/etc/systemd/system /mnt/etc/postwatch
mkdir -p /mnt/etc/systemd/system
cp -a "$root/units/." /mnt/etc/systemd/system
cp -a "$root/etc/." /mnt/etc
chown -R root:root /mnt/etc/postwatch

mkdir -p /mnt/opt/postwatch/bin /mnt/opt/postwatch/packages /mnt/opt/postwatch/sources /mnt/opt/python /mnt/log
mount --rbind "$python" /mnt/opt/python
mount --rbind "$packages" /mnt/opt/postwatch/packages
mount --rbind "$sources" /mnt/opt/postwatch/sources
for daemon in exporter alerter; do
    command=/mnt/opt/postwatch/bin/postwatch-$daemon
    cat >"$command" <<COMMAND
#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/postwatch/sources:/opt/postwatch/packages PYTHONDONTWRITEBYTECODE=1
exec /opt/python/bin/python3 -m $daemon "\$@"
COMMAND
    chmod 0755 "$command"
done

# The targets of this systemd and nothing of this machine's services.
mkdir /mnt/targets
for target in basic sysinit shutdown umount final exit multi-user network network-online sockets timers paths slices local-fs; do
    [ ! -e "/lib/systemd/system/$target.target" ] || cp "/lib/systemd/system/$target.target" /mnt/targets
done
mount --rbind "$root" /mnt/log
mount --bind /mnt/targets /lib/systemd/system
mount --bind /mnt/etc /etc
mount --rbind /mnt/opt /opt
for folder in /run /var/lib /var/log /var/tmp; do
    mount -t tmpfs -o mode=0755 tmpfs "$folder"
done
umount -l /sys/fs/cgroup 2>/dev/null || true
exec unshare --cgroup -- sh -c '
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount --make-rshared / # as a booted machine has it: credentials reach a unit by that
    exec env -i container=postwatch PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --log-level=info'
