// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from '@openzeppelin/contracts/token/ERC20/ERC20.sol';

/// @dev The plainest ERC-20, to measure what the contracts themselves cost.
contract PlainToken is ERC20 {
  constructor(address treasury, uint256 supply) ERC20('Plain', 'PLAIN') {
    _mint(treasury, supply);
  }
}

/// @dev Keeps 1 % of each transfer.
contract FeeToken is ERC20 {
  constructor(address treasury, uint256 supply) ERC20('Fee', 'FEE') {
    _mint(treasury, supply);
  }

  function _update(address from, address to, uint256 value) internal override {
    uint256 fee = from == address(0) ? 0 : value / 100;
    super._update(from, to, value - fee);
    if (fee != 0) super._update(from, address(0xfee), fee);
  }
}

/// @dev Makes a prepared call on behalf of an armed account in the middle of each transfer, and remembers how it ended.
contract ReentrantToken is ERC20 {
  address public target;
  bytes public payload;
  uint256 public attempts;
  bytes public lastAnswer;
  bool public lastOk;

  constructor(address treasury, uint256 supply) ERC20('Reentrant', 'RE') {
    _mint(treasury, supply);
  }

  function arm(address target_, bytes calldata payload_) external {
    (target, payload) = (target_, payload_);
  }

  /// @dev Lets this contract itself be payer or payee of a channel.
  function act(address to, bytes calldata data) external returns (bytes memory) {
    (bool ok, bytes memory answer) = to.call(data);
    if (!ok) {
      assembly ('memory-safe') {
        revert(add(answer, 32), mload(answer))
      }
    }
    return answer;
  }

  function _update(address from, address to, uint256 value) internal override {
    if (target != address(0) && from != address(0)) {
      address goal = target;
      target = address(0);
      attempts += 1;
      (lastOk, lastAnswer) = goal.call(payload);
    }
    super._update(from, to, value);
  }
}
