"""The life of single instances as their owner sees it: user data that fails, restarts, addresses, the console, and what
root inside cannot do to the neighbours."""

import base64
import re
import subprocess
import threading

import pytest

from conftest import NINES, eventually

# What counts the boots that run user data, and fails after its first words.
USER_DATA = """#!/bin/sh
echo first words
echo ran >>/var/lib/ran
exit 7
"""
METADATA = (
    "import urllib.request as u; b = 'http://169.254.169.254/latest/'; "
    "t = u.urlopen(u.Request(b + 'api/token', method='PUT', headers={'X-aws-ec2-metadata-token-ttl-seconds': '60'})).read(); "
    "print(*(u.urlopen(u.Request(b + 'meta-data/' + n, headers={'X-aws-ec2-metadata-token': t})).read().decode() for n in "
    "('local-ipv4', 'public-ipv4', 'instance-id')))"
)
# Sends UDP datagrams as frames of its own making: first under another's address, then under its own.
FORGE = """
import socket, struct, sys
own, other, target, gateway = sys.argv[1:]
packed = socket.inet_aton
def ip(source, body):
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(body), 7, 0, 64, 17, 0, packed(source), packed(target))
    s = sum(struct.unpack('!10H', head)); s = (s >> 16) + (s & 0xffff); s += s >> 16
    return head[:10] + struct.pack('!H', ~s & 0xffff) + head[12:] + body
def udp(text):
    return struct.pack('!HHHH', 999, 9999, 8 + len(text), 0) + text
mac = bytes.fromhex(open('/sys/class/net/eth0/address').read().strip().replace(':', ''))
ask = struct.pack('!HHBBH6s4s6s4s', 1, 0x800, 6, 4, 1, mac, packed(own), bytes(6), packed(gateway))
arp = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x806)); arp.bind(('eth0', 0)); arp.settimeout(5)
arp.send(b'\\xff' * 6 + mac + b'\\x08\\x06' + ask)
router = next(f for f in iter(lambda: arp.recv(100), b'') if f[20:22] == b'\\0\\2')[6:12]
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); out.bind(('eth0', 0))
for source, text in ((other, b'forged'), (own, b'honest')):
    for sender in {mac, b'\\2\\0\\0\\0\\0\\1'} if text == b'forged' else {mac}:
        out.send(router + sender + b'\\x08\\0' + ip(source, udp(text)))
"""
# What may keep a machine from the network, and how to see it. A loop device's queue is that of new links.
LOCKOUT = """
touch /run/before
ip link set eth0 mtu 900
ip route add blackhole 198.51.100.0/24
ip rule add pref 5 from all lookup 77
ip rule del pref 32767
ip address add 192.0.2.7/24 dev eth0
ip link add name br0 type bridge
ip address add 192.0.2.9/24 dev br0
ip link set br0 up
tc qdisc add dev eth0 root tbf rate 1mbit burst 9000 latency 50ms
iptables -A INPUT -j DROP
ip link set eth0 down
"""
NETWORK = "ip rule; ip -4 route; ip -4 route show table 77 2>&1; ip -4 -o address | cut -d' ' -f2-7; cat /sys/class/net/eth0/mtu; tc qdisc show dev eth0 root; iptables -S"
# Prints how much of a core it gets.
BURN = "import time as t; a = t.monotonic(); c = t.process_time()\nwhile t.monotonic() < a + 1: pass\nprint((t.process_time() - c) / (t.monotonic() - a))"
HEAR = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 9999)); print('hears', flush=True); print(s.recv(99).decode())"


@pytest.fixture(scope="module")
def pair(cloud):
    """Two instances in one subnet of the default VPC, where each may talk to the other."""
    ec2 = cloud.client("ec2")
    subnet = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1a"]}, {"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]
    image = ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"]
    # boto3 encodes it.
    launched = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=2, MaxCount=2, SubnetId=subnet["SubnetId"], UserData=USER_DATA,
                                 InstanceInitiatedShutdownBehavior="terminate")
    ids = [i["InstanceId"] for i in launched["Instances"]]
    eventually(lambda: all(status(cloud, i) == ["ok"] for i in ids), "both have booted")
    yield ids
    ec2.terminate_instances(InstanceIds=ids)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})


def described(cloud, instance):
    return cloud.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


def status(cloud, instance):
    found = cloud.client("ec2").describe_instance_status(InstanceIds=[instance])["InstanceStatuses"]
    return [s["InstanceStatus"]["Status"] for s in found]


def test_failed_user_data_is_told_and_the_instance_lives(cloud, pair):
    told = lambda: [line for line in cloud.nines("events").splitlines() if pair[0] in line and "user data failed" in line]
    assert "exit code 7" in eventually(told, "the failure is an event")[0]
    eventually(lambda: status(cloud, pair[0]) == ["ok"], "its status check passes all the same")
    output = cloud.client("ec2").get_console_output(InstanceId=pair[0], Latest=True)["Output"]
    assert "first words" in output


def test_the_console_is_followed(cloud, pair):
    """What is written after the follower began reaches it, and it ends by itself with the instance."""
    with subprocess.Popen([NINES, "console", "-f", pair[0]], env=cloud.environment, stdout=subprocess.PIPE, text=True) as follower:
        timer = threading.Timer(60, follower.kill)
        timer.start()
        before = next(line for line in follower.stdout if "first words" in line)
        cloud.shell(pair[0], "sh", "-c", "echo said $((6 * 7)) later >/dev/console")
        assert before and next(line for line in follower.stdout if "said 42 later" in line)
        follower.terminate()
        timer.cancel()


def test_addresses_and_user_data_over_restarts(cloud, pair):
    ec2, instance = cloud.client("ec2"), pair[0]
    seen = lambda: cloud.shell(instance, "python3", "-c", METADATA).split()
    private, public, _ = eventually(seen, "the metadata are there")
    # Who has locked himself out reboots it.
    network = lambda: cloud.shell(instance, "sh", "-c", NETWORK)
    before = network()
    cloud.shell(instance, "sh", "-ec", LOCKOUT)
    ec2.reboot_instances(InstanceIds=[instance])
    eventually(lambda: cloud.shell(instance, "sh", "-c", "test -e /run/before || echo gone") == "gone\n", "it reboots")
    eventually(lambda: seen() == [private, public, instance], "a reboot keeps addresses, and nothing else of the network")
    assert network() == before

    ec2.stop_instances(InstanceIds=[instance])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
    assert "PublicIpAddress" not in described(cloud, instance)
    ec2.start_instances(InstanceIds=[instance])
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
    after = described(cloud, instance)
    assert after["PrivateIpAddress"] == private and "PublicIpAddress" in after
    eventually(lambda: seen() == [private, after["PublicIpAddress"], instance], "the metadata tell of the new address")
    eventually(lambda: "running" in cloud.shell(instance, "systemctl", "is-system-running", check=False), "it has booted")
    assert cloud.shell(instance, "cat", "/var/lib/ran") == "ran\n", "user data runs once in an instance's life"


def test_forged_packets_do_not_leave(cloud, pair):
    one, other = (described(cloud, i) for i in pair)
    own, target = one["PrivateIpAddress"], other["PrivateIpAddress"]
    ec2 = cloud.client("ec2")
    group = one["SecurityGroups"][0]["GroupId"]
    block = ec2.describe_subnets(SubnetIds=[one["SubnetId"]])["Subnets"][0]["CidrBlock"]
    gateway = re.sub(r"\.0/\d+$", ".1", block)
    stranger = re.sub(r"\.0/\d+$", ".200", block)
    assert group == other["SecurityGroups"][0]["GroupId"]
    rule = {"GroupId": group, "IpProtocol": "udp", "FromPort": 9999, "ToPort": 9999, "CidrIp": block}
    ec2.authorize_security_group_ingress(**rule)
    script = base64.b64encode(FORGE.encode()).decode()

    def first_heard():
        hear = [NINES, "shell", pair[1], "--", "timeout", "60", "python3", "-c", HEAR]
        with subprocess.Popen(hear, env=cloud.environment, stdout=subprocess.PIPE, text=True) as ears:
            assert ears.stdout.readline() == "hears\n"
            forge = f"import base64; exec(base64.b64decode('{script}'))"
            cloud.shell(pair[0], "python3", "-c", forge, own, stranger, target, gateway)
            return ears.stdout.readline().strip()

    try:
        # The honest one is sent last: had a forged one come through, it would have been heard before.
        eventually(lambda: first_heard() == "honest", "the rule is in force")
        # With the check off, as of a router, they do come through.
        interface = one["NetworkInterfaces"][0]["NetworkInterfaceId"]
        ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, SourceDestCheck={"Value": False})
        eventually(lambda: first_heard() == "forged", "the check is off")
        ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, SourceDestCheck={"Value": True})
    finally:
        ec2.revoke_security_group_ingress(**rule)


def test_a_second_interface_has_a_way_of_its_own(cloud, pair):
    """Attached while it runs, with an Elastic IP: answers leave by the interface that was asked."""
    ec2, one = cloud.client("ec2"), described(cloud, pair[0])
    group = one["SecurityGroups"][0]["GroupId"]
    rule = {"GroupId": group, "IpProtocol": "tcp", "FromPort": 8000, "ToPort": 8000, "CidrIp": "0.0.0.0/0"}
    ec2.authorize_security_group_ingress(**rule)
    interface = ec2.create_network_interface(SubnetId=one["SubnetId"], SecondaryPrivateIpAddressCount=1)["NetworkInterface"]
    attached = ec2.attach_network_interface(InstanceId=pair[0], NetworkInterfaceId=interface["NetworkInterfaceId"], DeviceIndex=1)["AttachmentId"]
    addresses = []
    try:
        cloud.shell(pair[0], "systemd-run", "-q", "python3", "-m", "http.server", "8000")
        for private in interface["PrivateIpAddresses"]:
            address = ec2.allocate_address()
            addresses.append(address["AllocationId"])
            ec2.associate_address(AllocationId=address["AllocationId"], NetworkInterfaceId=interface["NetworkInterfaceId"],
                                  PrivateIpAddress=private["PrivateIpAddress"])
            ask = ("curl", "-sS", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", f"http://{address['PublicIp']}:8000/")
            eventually(lambda: cloud.in_namespace("internet", *ask).stdout == "200", "its address answers")
    finally:
        ec2.detach_network_interface(AttachmentId=attached)
        eventually(lambda: ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"]), "it is let go")
        for allocation in addresses:
            ec2.release_address(AllocationId=allocation)
        ec2.revoke_security_group_ingress(**rule)


def test_an_instance_without_credits_is_slowed(cloud, pair):
    """Two vCPUs of a t3.micro are half a core on a machine of two; its baseline is a tenth of that."""
    ec2 = cloud.client("ec2")
    gets = lambda: float(cloud.shell(pair[0], "python3", "-c", BURN))
    news = lambda: [line for line in cloud.nines("events").splitlines() if pair[0] in line and "credits" in line]
    choose = lambda option: ec2.modify_instance_credit_specification(InstanceCreditSpecifications=[{"InstanceId": pair[0], "CpuCredits": option}])
    before = len(news())
    eventually(lambda: gets() > 0.2, "it has its vCPUs")
    choose("standard")
    try:
        eventually(lambda: gets() < 0.12, "it gets little of a core")
        assert len(news()) > before, "an event tells it"
    finally:
        choose("unlimited")
    eventually(lambda: gets() > 0.2, "it has its vCPUs again")


def test_a_stand_in_has_the_user_of_its_ami(cloud):
    """Where Ubuntu's image is not built, Debian runs for it, but `ubuntu` logs in and is whom user data names."""
    ec2 = cloud.client("ec2")
    # The alias finds the images of verified providers, too.
    found = ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "name", "Values": ["ubuntu/images/*/ubuntu-noble-24.04-amd64-server-*"]}])["Images"]
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINhLMy2bJVM17gjWU3JzjyEbMabSTbKIErUNIMNsP2Se"
    ec2.import_key_pair(KeyName="stand-in", PublicKeyMaterial=public)
    launched = ec2.run_instances(ImageId=found[0]["ImageId"], InstanceType="t3.micro", MinCount=1, MaxCount=1, KeyName="stand-in",
                                 UserData="#!/bin/sh\nsudo -u ubuntu sudo -n id -un >/home/ubuntu/said")
    instance = launched["Instances"][0]["InstanceId"]
    try:
        eventually(lambda: cloud.shell(instance, "cat", "/home/ubuntu/said") == "root\n", "user data finds the user")
        assert cloud.shell(instance, "id", "ubuntu").startswith("uid=1000(ubuntu) gid=1000(ubuntu) ")
        assert cloud.shell(instance, "sh", "-c", "id admin; ls /home", check=False) == "ubuntu\n", "Debian's own user has become it"
        assert public in cloud.shell(instance, "cat", "/home/ubuntu/.ssh/authorized_keys")
        assert "passwordauthentication no" in cloud.shell(instance, "sshd", "-T")
    finally:
        ec2.terminate_instances(InstanceIds=[instance])
        ec2.delete_key_pair(KeyName="stand-in")


def test_shutdown_from_within_terminates_if_it_is_to(cloud, pair):
    follower = subprocess.Popen([NINES, "console", "-f", pair[1]], env=cloud.environment, stdout=subprocess.DEVNULL)
    try:
        cloud.shell(pair[1], "systemctl", "poweroff", "--no-block", check=False)
        eventually(lambda: described(cloud, pair[1])["State"]["Name"] == "terminated", "it is terminated")
        assert described(cloud, pair[1])["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
        assert follower.wait(timeout=30) == 0, "whoever followed its console is done"
    finally:
        follower.kill()
        follower.wait()
